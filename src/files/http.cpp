#include "files/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <memory>
#include <mutex>

#include "files/in_quotes.h"

namespace fathom::files {
namespace {

constexpr std::size_t kLongestRefusal = 16384;
constexpr int kMostRedirects = 10;
constexpr long kConnectSeconds = 30;
constexpr std::size_t kLongestHeaderLine = 8192;

struct FreeEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using List = std::unique_ptr<curl_slist, FreeList>;

void add_line(List& list, const std::string& line) {
  curl_slist* longer = curl_slist_append(list.get(), line.c_str());
  FATHOM_CHECK(longer != nullptr);
  (void)list.release();
  list.reset(longer);
}

std::string url_part(CURLU* url, CURLUPart part, unsigned flags) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return {};
  std::string copy = text;
  curl_free(text);
  return copy;
}

struct Origin {
  std::string scheme, host, port;
  bool operator==(const Origin&) const = default;
};

std::optional<Origin> origin_of(const std::string& url) {
  const std::unique_ptr<CURLU, FreeUrl> parsed(curl_url());
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return std::nullopt;
  Origin origin{url_part(parsed.get(), CURLUPART_SCHEME, 0), url_part(parsed.get(), CURLUPART_HOST, 0),
                url_part(parsed.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT)};
  std::ranges::transform(origin.host, origin.host.begin(), [](unsigned char c) { return std::tolower(c); });
  return origin;
}

template <class T>
std::optional<T> number(std::string_view text) {
  T value{};
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

bool equal_letters(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

// One exchange: what curl's callbacks fill and consult.
struct Exchange {
  const HttpRequest& request;
  const HttpSinks& sinks;
  HttpResponse response;
  bool wants_body = false, refused = false, begun = false;

  void header(std::string_view line) {
    if (line.starts_with("HTTP/")) {  // a new head: of a proxy's CONNECT, of "100 Continue", or the answer itself
      response = {};
      return;
    }
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || line.size() > kLongestHeaderLine) return;
    const auto name = trimmed(line.substr(0, colon)), value = trimmed(line.substr(colon + 1));
    if (equal_letters(name, "etag")) response.etag = value;
    if (equal_letters(name, "x-linked-etag")) response.linked_etag = value;
    if (equal_letters(name, "x-error-message")) response.error_message = value;
    if (equal_letters(name, "retry-after")) response.retry_after_seconds = number<int>(value).value_or(0);
    if (equal_letters(name, "content-range")) content_range(value);
  }

  // "bytes 100-199/200"
  void content_range(std::string_view value) {
    const auto dash = value.find('-'), slash = value.find('/');
    if (!value.starts_with("bytes ") || dash == value.npos || slash == value.npos || dash > slash) return;
    response.range_begin = number<std::uint64_t>(value.substr(6, dash - 6));
    response.range_total = number<std::uint64_t>(value.substr(slash + 1));
  }

  // True if the transfer is to go on.
  bool start(CURL* easy) {
    if (begun) return true;
    begun = true;
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    response.status = static_cast<int>(status);
    if (status < 200 || status > 299) return true;
    wants_body = sinks.started(response);
    refused = !wants_body;
    return wants_body;
  }
};

struct Transfer {
  Exchange* exchange;
  CURL* easy;
};

std::size_t on_header(char* data, std::size_t size, std::size_t count, void* to) {
  static_cast<Transfer*>(to)->exchange->header({data, size * count});
  return size * count;
}

std::size_t on_body(char* data, std::size_t size, std::size_t count, void* to) {
  auto& [exchange, easy] = *static_cast<Transfer*>(to);
  if (!exchange->start(easy)) return 0;
  if (!exchange->wants_body) {
    std::string& refusal = exchange->response.refusal;
    refusal.append(data, std::min(size * count, kLongestRefusal - refusal.size()));
    return size * count;
  }
  if (!exchange->sinks.body(std::as_bytes(std::span(data, size * count)))) {
    exchange->refused = true;
    return 0;
  }
  return size * count;
}

int on_progress(void* to, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<Transfer*>(to)->exchange->request.stop.stop_requested() ? 1 : 0;
}

// Whether waiting a little may help.
bool is_passing(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_SSL_CONNECT_ERROR:
      return true;
    default:
      return false;
  }
}

struct Answer {
  HttpResponse response;
  std::string redirect;  // where a 3xx points, made absolute
};

List header_lines(const HttpRequest& request, const std::string& bearer) {
  List lines;
  if (!bearer.empty()) add_line(lines, "Authorization: Bearer " + bearer);
  if (request.from > 0 && !request.if_range.empty()) add_line(lines, "If-Range: " + request.if_range);
  if (!request.post.empty()) add_line(lines, "Content-Type: application/json");
  return lines;
}

std::expected<Answer, HttpError> exchange_once(const HttpRequest& request, const std::string& url,
                                               const std::string& bearer, const HttpSinks& sinks) {
  const std::unique_ptr<CURL, FreeEasy> easy(curl_easy_init());
  FATHOM_CHECK(easy != nullptr);
  CURL* const c = easy.get();
  Exchange exchange{.request = request, .sinks = sinks};
  Transfer transfer{&exchange, c};
  const List lines = header_lines(request, bearer);
  char words[CURL_ERROR_SIZE] = "";

  curl_easy_setopt(c, CURLOPT_URL, url.c_str());
  curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(c, CURLOPT_USERAGENT, "fathom");
  curl_easy_setopt(c, CURLOPT_HTTPHEADER, lines.get());
  curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, static_cast<long>(request.stall_seconds));
  curl_easy_setopt(c, CURLOPT_ERRORBUFFER, words);
  curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(c, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(c, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(c, CURLOPT_XFERINFODATA, &transfer);
  const std::string range = fmt::format("{}-", request.from);
  if (request.from > 0) curl_easy_setopt(c, CURLOPT_RANGE, range.c_str());
  if (!request.post.empty()) {
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.post.size()));
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, request.post.c_str());
  }
  if (request.to_this_machine) {
    curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
  }

  const CURLcode code = curl_easy_perform(c);
  if (exchange.refused) return Answer{exchange.response, {}};
  if (code == CURLE_ABORTED_BY_CALLBACK) return std::unexpected(HttpError{"stopped", false, true});
  if (code != CURLE_OK) {
    const std::string why = words[0] != '\0' ? words : curl_easy_strerror(code);
    return std::unexpected(HttpError{fmt::format("{}: {}", url.substr(0, url.find('?')), why), is_passing(code)});
  }
  exchange.start(c);  // an answer without a body
  char* location = nullptr;
  curl_easy_getinfo(c, CURLINFO_REDIRECT_URL, &location);
  return Answer{exchange.response, location == nullptr ? std::string() : std::string(location)};
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

}  // namespace

bool same_origin(const std::string& a, const std::string& b) {
  const auto x = origin_of(a), y = origin_of(b);
  return x && y && *x == *y;
}

bool is_private_enough(const std::string& url) {
  const auto origin = origin_of(url);
  if (!origin) return false;
  if (origin->scheme == "https") return true;
  return origin->host == "localhost" || origin->host == "127.0.0.1" || origin->host == "[::1]";
}

std::expected<HttpResponse, HttpError> http_get(const HttpRequest& request, const HttpSinks& sinks) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  std::string url = request.url, bearer = request.bearer, linked_etag;
  for (int hops = 0; hops <= kMostRedirects; ++hops) {
    auto answer = exchange_once(request, url, bearer, sinks);
    if (!answer) return std::unexpected(answer.error());
    // Only the first host is the hub; a digest that another one claims is not the hub's record.
    if (same_origin(url, request.url) && !answer->response.linked_etag.empty())
      linked_etag = answer->response.linked_etag;
    if (!is_redirect(answer->response.status) || !request.post.empty()) {
      answer->response.linked_etag = linked_etag;
      return answer->response;
    }
    const auto from = origin_of(url), to = origin_of(answer->redirect);
    if (!to || (to->scheme != "https" && to->scheme != "http")) {
      return std::unexpected(
          HttpError{fmt::format("{}: redirects to {}, which is no web address", url, in_quotes(answer->redirect))});
    }
    if (from->scheme == "https" && to->scheme == "http") {
      return std::unexpected(HttpError{fmt::format("{}: redirects from https to http ({}): refused", url, to->host)});
    }
    if (*from != *to) bearer.clear();
    url = answer->redirect;
  }
  return std::unexpected(HttpError{fmt::format("{}: more than {} redirects", request.url, kMostRedirects)});
}

std::expected<HttpDocument, HttpError> http_get_text(const HttpRequest& request, std::size_t most) {
  std::string text;
  bool too_long = false;
  const HttpSinks sinks{.started =
                            [&](const HttpResponse&) {
                              text.clear();
                              return true;
                            },
                        .body =
                            [&](std::span<const std::byte> bytes) {
                              too_long = bytes.size() > most - text.size();
                              if (too_long) return false;
                              text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
                              return true;
                            }};
  auto head = http_get(request, sinks);
  if (!head) return std::unexpected(head.error());
  if (too_long) return std::unexpected(HttpError{fmt::format("{}: more than {} bytes", request.url, most)});
  return HttpDocument{std::move(*head), std::move(text)};
}

}  // namespace fathom::files
