#include "ask.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

namespace fathom::server {

namespace {

using files::Json;

// Waits for the signal that a pending reply gives when there is something new.
class Bell {
 public:
  std::function<void()> waker() {
    return [this] {
      const std::lock_guard lock(mutex_);
      rung_ = true;
      changed_.notify_one();
    };
  }
  bool wait() {
    std::unique_lock lock(mutex_);
    const bool came = changed_.wait_for(lock, std::chrono::seconds(10), [&] { return rung_; });
    rung_ = false;
    return came;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool rung_ = false;
};

}  // namespace

Answer Asker::ask(std::string method, std::string path, std::string body, std::vector<Header> headers) const {
  headers.push_back({"Host", "localhost"});
  const Request request{
      .method = std::move(method), .target = std::move(path), .headers = std::move(headers), .body = std::move(body)};
  if (auto refused = router_.refuse(request)) return {refused->status, refused->content_type, refused->body, "", false};
  Bell bell;  // outlives the reply
  Reply reply = router_.answer(request);
  if (auto* delay = std::get_if<std::unique_ptr<Delay>>(&reply)) {
    const std::unique_ptr<Delay> waited = std::move(*delay);
    waited->set_wake(bell.waker());
    while (!waited->is_over() && bell.wait()) {
    }
    EXPECT_TRUE(waited->is_over()) << "the model did not come";
    reply = waited->reply();
  }
  if (auto* response = std::get_if<Response>(&reply))
    return {response->status, response->content_type, response->body, "", false};
  if (auto* late = std::get_if<std::unique_ptr<LateResponse>>(&reply)) {
    (*late)->set_wake(bell.waker());
    std::optional<Response> response = (*late)->read();
    while (!response && bell.wait()) response = (*late)->read();
    EXPECT_TRUE(response) << "no response came";
    if (!response) return {};
    return {response->status, response->content_type, response->body, "", false};
  }
  EventStream& events = *std::get<std::unique_ptr<EventStream>>(reply);
  Answer answer{200, std::string(events.content_type()), "", events.keep_alive(), true};
  events.set_wake(bell.waker());
  for (;;) {
    const EventStream::Events came = events.read();
    answer.body += came.text;
    if (came.done) return answer;
    if (!bell.wait()) break;
  }
  ADD_FAILURE() << "the stream does not end: " << answer.body;
  return answer;
}

std::vector<Event> events_of(std::string_view text) {
  std::vector<Event> result;
  while (!text.empty()) {
    Event event;
    const auto end = text.find("\n\n");
    EXPECT_NE(end, std::string_view::npos) << text;
    if (end == std::string_view::npos) return result;
    std::string_view one = text.substr(0, end);
    text.remove_prefix(end + 2);
    if (one.starts_with("event: ")) {
      event.name = one.substr(7, one.find('\n') - 7);
      one.remove_prefix(one.find('\n') + 1);
    }
    EXPECT_TRUE(one.starts_with("data: ")) << one;
    const std::string_view data = one.substr(6);
    event.data = data == "[DONE]" ? Json("[DONE]") : Json::parse(data);
    result.push_back(std::move(event));
  }
  return result;
}

std::vector<Json> lines_of(std::string_view text) {
  std::vector<Json> result;
  while (!text.empty()) {
    const auto end = text.find('\n');
    EXPECT_NE(end, std::string_view::npos) << text;
    if (end == std::string_view::npos) return result;
    result.push_back(Json::parse(text.substr(0, end)));
    text.remove_prefix(end + 1);
  }
  return result;
}

}  // namespace fathom::server
