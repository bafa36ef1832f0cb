#include "server/rate_limiter.h"

#include <fmt/format.h>

namespace fathom::server {

namespace {

constexpr std::chrono::minutes kWindow{1};
constexpr int kRetryRunning = 1;  // an answer may end at any moment

// Whole seconds, rounded up, until what happened at `at` has left the window.
int seconds_left(RateLimiter::Clock::time_point at, RateLimiter::Clock::time_point now) {
  const auto left = std::chrono::ceil<std::chrono::seconds>(at + kWindow - now).count();
  return static_cast<int>(std::max<std::int64_t>(1, left));
}

}  // namespace

std::optional<RateLimiter::Refusal> RateLimiter::begin(const Key& key, int runs, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  State& state = states_[key.id];
  while (!state.requests.empty() && state.requests.front() + kWindow <= now) state.requests.pop_front();
  while (!state.tokens.empty() && state.tokens.front().at + kWindow <= now) {
    state.token_sum -= state.tokens.front().tokens;
    state.tokens.pop_front();
  }
  const KeyLimits& limits = key.limits;
  if (limits.concurrent > 0 && state.running + runs > limits.concurrent)
    return Refusal{fmt::format("{} answers at a time", limits.concurrent), kRetryRunning};
  if (limits.requests_per_minute > 0 && std::ssize(state.requests) >= limits.requests_per_minute)
    return Refusal{fmt::format("{} requests a minute", limits.requests_per_minute),
                   seconds_left(state.requests.front(), now)};
  if (limits.tokens_per_minute > 0 && state.token_sum >= limits.tokens_per_minute)
    return Refusal{fmt::format("{} tokens a minute", limits.tokens_per_minute),
                   seconds_left(state.tokens.front().at, now)};
  state.running += runs;
  if (limits.requests_per_minute > 0) state.requests.push_back(now);
  return std::nullopt;
}

void RateLimiter::ended(std::int64_t key, int runs) {
  const std::lock_guard lock(mutex_);
  states_[key].running -= runs;
}

void RateLimiter::used(std::int64_t key, std::int64_t tokens, Clock::time_point now) {
  if (tokens <= 0) return;
  const std::lock_guard lock(mutex_);
  State& state = states_[key];
  state.tokens.push_back({now, tokens});
  state.token_sum += tokens;
}

}  // namespace fathom::server
