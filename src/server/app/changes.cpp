#include "server/app/changes.h"

#include <openssl/rand.h>

#include <array>
#include <charconv>

namespace fathom::server::app {

namespace {

constexpr std::size_t kKept = 1000;  // changes; a tab that missed more fetches anew

std::string random_name() {
  std::array<unsigned char, 6> bytes{};
  FATHOM_CHECK(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1);
  std::string name;
  for (const unsigned char byte : bytes) name += fmt::format("{:02x}", byte);
  return name;
}

}  // namespace

struct Changes::State {
  const std::string server = random_name();  // positions of an earlier server mean nothing here
  std::mutex mutex;
  std::deque<std::string> events;  // under mutex, as all that follows: whole, the last is `last`
  std::uint64_t last = 0;
  std::map<const Stream*, std::function<void()>> wakes;
  bool closed = false;
};

class Changes::Stream final : public EventStream {
 public:
  Stream(std::shared_ptr<State> state, const std::string& position) : state_(std::move(state)) {
    const std::lock_guard lock(state_->mutex);
    next_ = state_->last + 1;
    if (position.empty()) return;
    std::uint64_t seen = 0;
    const std::string_view number =
        std::string_view(position).substr(std::min(position.find('-') + 1, position.size()));
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), seen);
    const bool ours = position.starts_with(state_->server + "-") && error == std::errc{} &&
                      end == number.data() + number.size() && seen <= state_->last &&
                      seen + state_->events.size() >= state_->last;
    if (ours) {
      next_ = seen + 1;
    } else {
      first_ = fmt::format("event: reset\ndata: {{\"type\":\"reset\"}}\nid: {}-{}\n\n", state_->server, state_->last);
    }
  }
  ~Stream() override {
    const std::lock_guard lock(state_->mutex);
    state_->wakes.erase(this);
  }

  void set_wake(std::function<void()> wake) override {
    const std::lock_guard lock(state_->mutex);
    state_->wakes[this] = std::move(wake);
  }

  Events read() override {
    const std::lock_guard lock(state_->mutex);
    Events events{.text = std::exchange(first_, {}), .done = state_->closed};
    const std::uint64_t oldest = state_->last - state_->events.size() + 1;
    // A reader so slow that what it needs is gone.
    if (next_ < oldest) {
      events.done = true;
      return events;
    }
    for (; next_ <= state_->last; ++next_) events.text += state_->events[static_cast<std::size_t>(next_ - oldest)];
    return events;
  }

 private:
  std::shared_ptr<State> state_;
  std::string first_;
  std::uint64_t next_ = 0;
};

Changes::Changes() : state_(std::make_shared<State>()) {}

void Changes::publish(const Json& change) {
  const std::lock_guard lock(state_->mutex);
  ++state_->last;
  state_->events.push_back(fmt::format("event: {}\ndata: {}\nid: {}-{}\n\n", change.at("type").get<std::string_view>(),
                                       json_text(change), state_->server, state_->last));
  if (state_->events.size() > kKept) state_->events.pop_front();
  for (const auto& [stream, wake] : state_->wakes) wake();
}

std::unique_ptr<EventStream> Changes::watch(const std::string& position) {
  return std::make_unique<Stream>(state_, position);
}

void Changes::close() {
  const std::lock_guard lock(state_->mutex);
  state_->closed = true;
  for (const auto& [stream, wake] : state_->wakes) wake();
}

}  // namespace fathom::server::app
