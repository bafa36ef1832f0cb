// When to try again, and how long to wait first: the pause doubles, a little at random so that many programs do not
// come back in step, and starts over when there was progress.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <random>
#include <stop_token>

namespace fathom::files {

// Statuses of a server that may do better in a moment.
inline bool is_passing_status(int status) {
  return status == 408 || status == 425 || status == 429 || (status >= 500 && status <= 504);
}

class Retry {
 public:
  Retry(int attempts, int first_pause_ms) : attempts_(attempts), first_pause_ms_(first_pause_ms) {}

  void progressed() { failures_ = 0; }

  // Waits before the next try, at least `least_seconds`; false if there is none or the wait was stopped.
  bool wait(int least_seconds, std::stop_token stop) {
    if (++failures_ >= attempts_) return false;
    constexpr int kLongestPauseMs = 30'000, kLongestAskedSeconds = 120;
    const int doubled = first_pause_ms_ << std::min(failures_ - 1, 12);
    std::uniform_real_distribution<double> spread(0.75, 1.25);
    const auto pause =
        std::chrono::milliseconds(static_cast<int>(std::min(doubled, kLongestPauseMs) * spread(random_)));
    const auto least = std::chrono::seconds(std::clamp(least_seconds, 0, kLongestAskedSeconds));
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any never;
    never.wait_for(lock, stop, std::max<std::chrono::milliseconds>(pause, least), [] { return false; });
    return !stop.stop_requested();
  }

 private:
  int attempts_, first_pause_ms_;
  int failures_ = 0;
  std::mt19937 random_{std::random_device{}()};
};

}  // namespace fathom::files
