// How much a key may ask at a time and a minute. In memory: a restart forgets the last minute.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "server/key_store.h"

namespace fathom::server {

class RateLimiter {
 public:
  using Clock = std::chrono::steady_clock;

  struct Refusal {
    std::string what;     // "60 requests a minute"
    int retry_after = 1;  // seconds until it may be tried again
  };
  // Counts a request of `runs` answers in, or says why not. What was counted in must be counted out by ended().
  std::optional<Refusal> begin(const Key& key, int runs, Clock::time_point now = Clock::now());
  void ended(std::int64_t key, int runs);
  // Tokens that a request of the key took; they count for the minute that follows.
  void used(std::int64_t key, std::int64_t tokens, Clock::time_point now = Clock::now());

 private:
  struct Spent {
    Clock::time_point at;
    std::int64_t tokens;
  };
  struct State {
    std::int64_t running = 0;
    std::deque<Clock::time_point> requests;  // of the last minute
    std::deque<Spent> tokens;                // of the last minute
    std::int64_t token_sum = 0;
  };
  std::mutex mutex_;
  std::unordered_map<std::int64_t, State> states_;
};

}  // namespace fathom::server
