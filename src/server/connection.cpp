// The only place that knows Beast. It parses requests; replies are written by hand, since an event stream wants its
// own pace, its keep-alives and an eye on the client.
#include "server/connection.h"

#include <spdlog/spdlog.h>

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>

#include "base/clock.h"
#include "server/answer_writer.h"
#include "server/request_log.h"
#include "server/request_record.h"
#include "server/wire.h"

namespace fathom::server {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t kReadBytes = 8192;
constexpr std::size_t kMaxPipelinedBytes = 65536;  // read ahead of the reply in hand; beyond it the socket fills up
constexpr std::size_t kWriteBytes = 65536;         // one write deadline for each so many bytes
constexpr milliseconds kLingerLimit{2000};
constexpr milliseconds kLastIdleLimit{1000};  // for who comes while the server stops
constexpr std::size_t kLingerBytes = std::size_t{64} << 20;
// From here on tokens are gathered for a moment: a write a token costs more than what the token is worth.
constexpr int kManyStreams = 8;
constexpr milliseconds kGatherTime{33};

struct Incoming {
  Request request;
  bool http11 = true;
  bool keep_alive = true;
  bool has_body_left = false;  // unread, because the request was refused before
  std::optional<Response> refusal;
  RequestRecord& record() const { return *request.record; }
};

enum class Framing { kLength, kChunked, kUntilClose };

std::string http_date() {
  const std::tm parts = base::utc_parts(base::unix_seconds());
  constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT", kDays[parts.tm_wday], parts.tm_mday,
                     kMonths[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::string head_text(const Response& response, const Incoming& to, Framing framing) {
  std::string text = fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\nX-Content-Type-Options: nosniff\r\n", response.status,
                                 reason_phrase(response.status), http_date());
  const auto add = [&text](std::string_view name, std::string_view value) {
    text += fmt::format("{}: {}\r\n", name, value);
  };
  if (!response.content_type.empty()) add("Content-Type", response.content_type);
  const bool bodiless = response.status == 204 || response.status == 304;
  if (framing == Framing::kLength && !bodiless) add("Content-Length", std::to_string(response.body.size()));
  if (framing == Framing::kChunked) add("Transfer-Encoding", "chunked");
  for (const Header& header : response.headers) add(header.name, header.value);
  if (!to.keep_alive || framing == Framing::kUntilClose) {
    add("Connection", "close");
  } else if (!to.http11) {
    add("Connection", "keep-alive");
  }
  return text + "\r\n";
}

// A part of a body of unknown length; an empty text gives nothing (an empty chunk would be the end).
std::string framed(std::string_view text, Framing framing) {
  if (framing != Framing::kChunked || text.empty()) return std::string(text);
  return fmt::format("{:x}\r\n{}\r\n", text.size(), text);
}

ApiError unreadable(const error_code& error) {
  if (error == http::error::header_limit)
    return {.status = 431, .message = "the request's headers are too long", .code = "headers_too_long"};
  return {.status = 400, .message = "not an HTTP request: " + error.message(), .code = "invalid_http"};
}

ApiError too_large(std::size_t limit) {
  return {.status = 413,
          .message = fmt::format("the request's body is over the limit of {} bytes", limit),
          .code = "body_too_large"};
}

class LiveConnection final : public Connection, public std::enable_shared_from_this<LiveConnection> {
 public:
  LiveConnection(asio::ip::tcp::socket socket, ConnectionContext& context)
      : stream_(std::move(socket), context.tls), timer_(stream_.get_executor()), context_(context) {}

  void finish() override;
  void drop() override;
  asio::awaitable<void> run();

 private:
  using Parser = http::request_parser<http::string_body>;

  asio::awaitable<bool> read_request(Incoming& incoming);
  asio::awaitable<bool> first_bytes();
  asio::awaitable<bool> read_body(Parser& parser, Incoming& incoming);
  asio::awaitable<Reply> work(const std::function<Reply()>& make);
  asio::awaitable<Reply> sit_out(const Incoming& to, std::unique_ptr<Delay> delay);
  asio::awaitable<bool> reply(Incoming& incoming);
  void note_end(const Incoming& incoming);
  asio::awaitable<bool> send(const Incoming& to, Response response);
  asio::awaitable<bool> send_rest(const Incoming& to, std::string text);
  std::string begun_text(const Incoming& to, std::string type, bool events, Framing framing) const;
  asio::awaitable<bool> send_events(const Incoming& to, std::unique_ptr<EventStream> events);
  asio::awaitable<bool> send_late(const Incoming& to, std::unique_ptr<LateResponse> late);
  asio::awaitable<void> gather(steady_clock::time_point last_write);
  asio::awaitable<bool> write(std::string_view text);
  asio::awaitable<void> linger();

  void watch();
  asio::awaitable<void> stop_watching();
  asio::awaitable<bool> wait(milliseconds limit);
  void signal();
  std::function<void()> waker();

  Wire stream_;
  beast::flat_buffer buffer_;
  asio::steady_timer timer_;  // expires when nothing was signalled
  ConnectionContext& context_;
  bool signalled_ = false;
  bool watching_ = false;  // a read is pending beside the reply, to see the client hang up
  bool replying_ = false;
  bool gone_ = false;  // the client, or drop()
  bool idle_ = false;  // between requests
  bool finishing_ = false;
  enum class Begun { kNothing, kBlanks, kEvents };
  Begun begun_ = Begun::kNothing;  // what was sent of the reply in hand while it could not be made
};

void LiveConnection::finish() {
  asio::post(stream_.get_executor(), [self = shared_from_this()] {
    self->finishing_ = true;
    if (self->idle_) self->stream_.cancel();
  });
}

void LiveConnection::drop() {
  asio::post(stream_.get_executor(), [self = shared_from_this()] {
    self->finishing_ = true;
    self->gone_ = true;
    self->stream_.close();
    self->signal();
  });
}

asio::awaitable<void> LiveConnection::run() {
  stream_.expires_after(context_.options.header_limit);
  bool open = co_await stream_.open();
  while (open && !finishing_ && !gone_) {
    Incoming incoming;
    open = co_await read_request(incoming);
    if (!open) break;
    if (finishing_) incoming.keep_alive = false;
    open = co_await reply(incoming);
    note_end(incoming);
    if (open && incoming.has_body_left) co_await linger();
    open = open && incoming.keep_alive && !incoming.has_body_left;
  }
  stream_.expires_after(kLingerLimit);
  if (!gone_) co_await stream_.end_sending();
  stream_.close();
}

// ---- reading

asio::awaitable<bool> LiveConnection::first_bytes() {
  if (buffer_.size() > 0) co_return true;  // pipelined
  error_code error;
  stream_.expires_after(context_.stopping ? kLastIdleLimit : context_.options.idle_limit);
  idle_ = true;
  const std::size_t count =
      co_await stream_.async_read_some(buffer_.prepare(kReadBytes), asio::redirect_error(asio::use_awaitable, error));
  idle_ = false;
  buffer_.commit(count);
  co_return !error;
}

// False: the connection is over. A request that cannot be read becomes a refusal.
asio::awaitable<bool> LiveConnection::read_request(Incoming& incoming) {
  const bool begun = co_await first_bytes();
  if (!begun) co_return false;
  incoming.request.record = std::make_shared<RequestRecord>();
  incoming.record().id = new_id("req_");
  Parser parser;
  parser.header_limit(static_cast<std::uint32_t>(context_.options.max_header_bytes));
  parser.body_limit(context_.options.max_body_bytes);
  error_code error;
  stream_.expires_after(context_.options.header_limit);
  co_await http::async_read_header(stream_, buffer_, parser, asio::redirect_error(asio::use_awaitable, error));
  if (error == http::error::end_of_stream || error == http::error::partial_message) co_return false;
  if (error && error.category() != make_error_code(http::error::bad_version).category()) co_return false;
  const bool over_limit = error == http::error::body_limit;
  if (error && !over_limit) {
    incoming.refusal = error_response(unreadable(error));
    incoming.keep_alive = false;
    incoming.has_body_left = true;
    co_return true;
  }

  const auto& head = parser.get();
  incoming.http11 = head.version() >= 11;
  incoming.keep_alive = head.keep_alive();
  incoming.request.method = std::string(head.method_string());
  incoming.request.target = std::string(head.target());
  for (const auto& field : head)
    incoming.request.headers.push_back({std::string(field.name_string()), std::string(field.value())});

  if (incoming.http11 && incoming.request.count("host") == 0) {
    incoming.refusal = error_response({.status = 400, .message = "the request names no Host", .code = "invalid_http"});
  } else if (context_.stopping) {
    incoming.refusal = context_.router.error(
        incoming.request, {.status = 503, .message = "the server is about to stop", .code = "stopping"});
    incoming.keep_alive = false;
  } else {
    incoming.refusal = context_.router.refuse(incoming.request);
  }
  if (!incoming.refusal && over_limit)
    incoming.refusal = context_.router.error(incoming.request, too_large(context_.options.max_body_bytes));
  if (incoming.refusal) {
    incoming.has_body_left = over_limit || !parser.is_done();
    if (incoming.has_body_left) incoming.keep_alive = false;
    co_return true;
  }
  const bool whole = co_await read_body(parser, incoming);
  co_return whole;
}

asio::awaitable<bool> LiveConnection::read_body(Parser& parser, Incoming& incoming) {
  if (!parser.is_done() && equal_ignoring_case(incoming.request.header("expect"), "100-continue")) {
    const bool written = co_await write("HTTP/1.1 100 Continue\r\n\r\n");
    if (!written) co_return false;
  }
  error_code error;
  stream_.expires_after(context_.options.body_limit);
  co_await http::async_read(stream_, buffer_, parser, asio::redirect_error(asio::use_awaitable, error));
  if (!error) {
    incoming.request.body = std::move(parser.get().body());
    co_return true;
  }
  if (error.category() != make_error_code(http::error::bad_version).category() ||
      error == http::error::partial_message || error == http::error::end_of_stream)
    co_return false;
  const bool too_long = error == http::error::body_limit;
  incoming.refusal = context_.router.error(incoming.request,
                                           too_long ? too_large(context_.options.max_body_bytes) : unreadable(error));
  incoming.keep_alive = false;
  incoming.has_body_left = true;
  co_return true;
}

// ---- replying

asio::awaitable<Reply> LiveConnection::work(const std::function<Reply()>& make) {
  // Not a lambda with captures: a coroutine's captures live only as long as the lambda object.
  struct Work {
    static asio::awaitable<Reply> run(const std::function<Reply()>* made) { co_return (*made)(); }
  };
  Reply reply = co_await asio::co_spawn(context_.work, Work::run(&make), asio::use_awaitable);
  co_return reply;
}

// What comes after the delay; an empty response where the client went first. What had to be sent meanwhile is
// in begun_.
asio::awaitable<Reply> LiveConnection::sit_out(const Incoming& to, std::unique_ptr<Delay> delay) {
  const Framing framing = to.http11 ? Framing::kChunked : Framing::kUntilClose;
  watch();
  delay->set_wake(waker());
  while (!delay->is_over() && !gone_) {
    const bool something = co_await wait(context_.options.keep_alive);
    const std::string sign = delay->sign_of_life();
    if (something || sign.empty()) continue;
    std::string out;
    if (begun_ == Begun::kNothing) {
      begun_ = delay->is_stream() ? Begun::kEvents : Begun::kBlanks;
      out = begun_text(to, std::string(delay->content_type()), begun_ == Begun::kEvents, framing);
    }
    out += framed(sign, framing);
    const bool written = co_await write(out);
    if (!written) gone_ = true;
  }
  co_await stop_watching();
  if (gone_) co_return Response{};
  const std::function<Reply()> make = [&] { return delay->reply(); };
  Reply reply = co_await work(make);
  // The events have begun, so that a refusal can only be one of them.
  if (const auto* response = std::get_if<Response>(&reply); response != nullptr && begun_ == Begun::kEvents)
    co_return Response{.body = delay->last_event(*response), .error_code = response->error_code};
  co_return reply;
}

asio::awaitable<bool> LiveConnection::reply(Incoming& incoming) {
  begun_ = Begun::kNothing;
  if (incoming.refusal) {
    const bool refused = co_await send(incoming, std::move(*incoming.refusal));
    co_return refused;
  }
  if (context_.options.log && context_.options.log->wants_prompts()) incoming.record().body = incoming.request.body;
  const std::function<Reply()> make = [&] { return context_.router.answer(incoming.request); };
  Reply answer = co_await work(make);
  if (auto* delay = std::get_if<std::unique_ptr<Delay>>(&answer)) {
    std::unique_ptr<Delay> waited = std::move(*delay);
    answer = co_await sit_out(incoming, std::move(waited));
    if (gone_) co_return false;
  }
  incoming.request.body = {};  // read; a long prompt need not stay for the length of its answer
  bool sent = false;
  if (auto* response = std::get_if<Response>(&answer)) {
    sent = co_await send(incoming, std::move(*response));
  } else {
    ++context_.streams;
    context_.metrics.streams(1);
    if (auto* events = std::get_if<std::unique_ptr<EventStream>>(&answer)) {
      sent = co_await send_events(incoming, std::move(*events));
    } else {
      sent = co_await send_late(incoming, std::move(std::get<std::unique_ptr<LateResponse>>(answer)));
    }
    --context_.streams;
    context_.metrics.streams(-1);
  }
  co_return sent;
}

// The request is over, whether its answer went out or not.
void LiveConnection::note_end(const Incoming& incoming) {
  context_.metrics.ended(incoming.record());
  if (context_.options.log) context_.options.log->write(incoming.request);
}

// The head of a reply whose length is not known.
std::string LiveConnection::begun_text(const Incoming& to, std::string type, bool events, Framing framing) const {
  Response head{.content_type = std::move(type)};
  if (events) head.headers = {{"Cache-Control", "no-cache, no-transform"}, {"X-Accel-Buffering", "no"}};
  for (Header& header : context_.router.extra_headers(to.request)) head.headers.push_back(std::move(header));
  to.record().status = head.status;
  return head_text(head, to, framing);
}

// The end of a reply that has begun.
asio::awaitable<bool> LiveConnection::send_rest(const Incoming& to, std::string text) {
  const Framing framing = to.http11 ? Framing::kChunked : Framing::kUntilClose;
  std::string out = framed(text, framing);
  if (framing == Framing::kChunked) out += "0\r\n\r\n";
  const bool sent = co_await write(out);
  to.record().complete = sent;
  co_return sent&& framing == Framing::kChunked;
}

asio::awaitable<bool> LiveConnection::send(const Incoming& to, Response response) {
  if (!response.error_code.empty()) to.record().error = response.error_code;
  if (begun_ != Begun::kNothing) {
    const bool ended = co_await send_rest(to, std::move(response.body));
    co_return ended;
  }
  to.record().status = response.status;
  for (Header& header : context_.router.extra_headers(to.request)) response.headers.push_back(std::move(header));
  const std::string head = head_text(response, to, Framing::kLength);
  const bool with_body = to.request.method != "HEAD" && response.status != 204 && response.status != 304;
  bool sent = false;
  if (with_body && response.body.size() <= kWriteBytes) {
    const std::string whole = head + response.body;
    sent = co_await write(whole);
  } else {
    sent = co_await write(head);
    if (sent && with_body) sent = co_await write(response.body);
  }
  to.record().complete = sent;
  co_return sent;
}

asio::awaitable<bool> LiveConnection::send_events(const Incoming& to, std::unique_ptr<EventStream> events) {
  const Framing framing = to.http11 ? Framing::kChunked : Framing::kUntilClose;
  std::string out;
  if (begun_ == Begun::kNothing) {
    Response head{.content_type = std::string(events->content_type()),
                  .headers = {{"Cache-Control", "no-cache, no-transform"}, {"X-Accel-Buffering", "no"}}};
    for (Header& header : events->headers()) head.headers.push_back(std::move(header));
    for (Header& header : context_.router.extra_headers(to.request)) head.headers.push_back(std::move(header));
    to.record().status = head.status;
    out = head_text(head, to, framing);
  }
  watch();
  events->set_wake(waker());
  bool done = false;
  auto last_write = steady_clock::now();
  while (!done && !gone_) {
    EventStream::Events came = events->read();
    done = came.done;
    out += framed(came.text, framing);
    if (done && framing == Framing::kChunked) out += "0\r\n\r\n";
    if (out.empty()) {
      const bool something = co_await wait(context_.options.keep_alive);
      if (!something) {
        out = framed(events->keep_alive(), framing);
      } else {
        co_await gather(last_write);
        continue;
      }
    }
    const bool written = co_await write(out);
    if (!written) gone_ = true;
    out.clear();
    last_write = steady_clock::now();
  }
  to.record().complete = !gone_;
  events.reset();  // cancels what was not finished
  co_await stop_watching();
  co_return !gone_ && framing == Framing::kChunked;
}

asio::awaitable<bool> LiveConnection::send_late(const Incoming& to, std::unique_ptr<LateResponse> late) {
  const Framing framing = to.http11 ? Framing::kChunked : Framing::kUntilClose;
  watch();
  late->set_wake(waker());
  std::optional<Response> response = late->read();
  while (!response && !gone_) {
    const bool something = co_await wait(context_.options.keep_alive);
    if (!something) {
      // With blank lines, when the response lets wait for itself.
      std::string out;
      if (begun_ == Begun::kNothing) out = begun_text(to, "application/json", false, framing);
      begun_ = Begun::kBlanks;
      out += framed("\n", framing);
      const bool written = co_await write(out);
      if (!written) gone_ = true;
    }
    response = late->read();
  }
  late.reset();
  co_await stop_watching();
  if (gone_) co_return false;
  const bool sent = co_await send(to, std::move(*response));
  co_return sent;
}

// With many streams, waits until a moment has passed since the last write.
asio::awaitable<void> LiveConnection::gather(steady_clock::time_point last_write) {
  const auto due = last_write + kGatherTime;
  while (context_.streams > kManyStreams && !gone_ && steady_clock::now() < due) {
    const auto left = std::chrono::duration_cast<milliseconds>(due - steady_clock::now()) + milliseconds(1);
    co_await wait(left);
  }
}

asio::awaitable<bool> LiveConnection::write(std::string_view text) {
  while (!text.empty()) {
    const std::string_view part = text.substr(0, kWriteBytes);
    error_code error;
    stream_.expires_after(context_.options.write_limit);
    co_await asio::async_write(stream_, asio::buffer(part.data(), part.size()),
                               asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return false;
    text.remove_prefix(part.size());
  }
  co_return true;
}

// Closing over unread bytes resets the connection and may take the last response with it, so they are read away first.
asio::awaitable<void> LiveConnection::linger() {
  error_code error;
  stream_.expires_after(kLingerLimit);
  co_await stream_.end_sending();
  std::array<char, kReadBytes> scratch;
  for (std::size_t total = 0; !error && total < kLingerBytes;)
    total += co_await stream_.async_read_some(asio::buffer(scratch), asio::redirect_error(asio::use_awaitable, error));
}

// ---- the pending read and the signal

void LiveConnection::watch() {
  watching_ = true;
  replying_ = true;
  stream_.expires_never();
  stream_.async_read_some(buffer_.prepare(kReadBytes),
                          [self = shared_from_this()](const error_code& error, std::size_t count) {
                            self->buffer_.commit(count);
                            self->watching_ = false;
                            if (error && error != asio::error::operation_aborted) self->gone_ = true;
                            if (!error && self->replying_ && self->buffer_.size() < kMaxPipelinedBytes) self->watch();
                            self->signal();
                          });
}

asio::awaitable<void> LiveConnection::stop_watching() {
  replying_ = false;
  if (watching_) stream_.cancel();
  while (watching_) co_await wait(milliseconds(1000));
}

// True when something was signalled, false when `limit` passed first.
asio::awaitable<bool> LiveConnection::wait(milliseconds limit) {
  if (!signalled_) {
    error_code aborted;
    timer_.expires_after(limit);
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, aborted));
  }
  co_return std::exchange(signalled_, false);
}

void LiveConnection::signal() {
  signalled_ = true;
  timer_.cancel();
}

std::function<void()> LiveConnection::waker() {
  return [weak = weak_from_this()] {
    if (auto self = weak.lock()) {
      auto executor = self->stream_.get_executor();
      asio::post(executor, [kept = std::move(self)] { kept->signal(); });
    }
  };
}

}  // namespace

std::shared_ptr<Connection> start_connection(asio::ip::tcp::socket socket, ConnectionContext& context,
                                             std::function<void()> closed) {
  const auto executor = socket.get_executor();
  auto connection = std::make_shared<LiveConnection>(std::move(socket), context);
  asio::co_spawn(executor, connection->run(), [connection, closed = std::move(closed)](std::exception_ptr failure) {
    try {
      if (failure) std::rethrow_exception(failure);
    } catch (const std::exception& error) {
      spdlog::error("a connection failed: {}", error.what());
    }
    closed();
  });
  return connection;
}

}  // namespace fathom::server
