// An engine that computes nothing: every run says one token at a set pace, thousands of runs on one thread. What a
// server costs beside its model is measured with it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <queue>
#include <thread>
#include <unordered_map>
#include <vector>

#include "engine/engine.h"

namespace fathom::engine {

class PacedEngine final : public Engine {
 public:
  // Each run says `token` every `pace`, until its own limit of tokens.
  PacedEngine(tokens::TokenId token, std::chrono::milliseconds pace, int context)
      : token_(token), pace_(pace), context_(context), thread_([this](std::stop_token stop) { loop(stop); }) {}

  base::Result<RunId> submit(Run run, TokenSink sink) override {
    const std::scoped_lock lock(mutex_);
    const RunId id = next_id_++;
    runs_[id] = {.sink = std::move(sink),
                 .statistics = {.prompt_tokens = static_cast<int>(run.prompt.size())},
                 .limit = run.max_tokens < 0 ? context_ : run.max_tokens};
    due_.push({Clock::now() + pace_, id});
    changed_.notify_one();
    return id;
  }
  void cancel(RunId id) override {
    const std::scoped_lock lock(mutex_);
    if (const auto run = runs_.find(id); run != runs_.end()) run->second.cancelled = true;
  }
  int context_length() const override { return context_; }
  EngineStatus status() const override {
    const std::scoped_lock lock(mutex_);
    return {.running = static_cast<std::int64_t>(runs_.size())};
  }

 private:
  using Clock = std::chrono::steady_clock;
  struct Due {
    Clock::time_point at;
    RunId id;
    bool operator>(const Due& other) const { return at > other.at; }
  };
  struct Paced {
    TokenSink sink;
    RunStatistics statistics;
    int limit = 0;
    bool cancelled = false;
  };

  void loop(std::stop_token stop) {
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
      if (due_.empty()) {
        changed_.wait(lock, stop, [&] { return !due_.empty(); });
        continue;
      }
      const Due next = due_.top();  // a copy: the queue changes while this waits
      if (Clock::now() < next.at) {
        changed_.wait_until(lock, stop, next.at, [] { return false; });
      } else {
        step(next);
      }
    }
  }

  // Under the mutex: a sink returns at once and calls nothing of the engine's.
  void step(Due due) {
    due_.pop();
    Paced& run = runs_.at(due.id);
    TokenEvent event{.token = token_};
    if (run.cancelled) {
      event = {.finish = FinishReason::kCancelled};
    } else if (++run.statistics.generated_tokens >= run.limit) {
      event.finish = FinishReason::kLength;
    }
    if (run.sink(event, run.statistics) && event.finish == FinishReason::kNone) {
      due_.push({due.at + pace_, due.id});
    } else {
      runs_.erase(due.id);
    }
  }

  const tokens::TokenId token_;
  const std::chrono::milliseconds pace_;
  const int context_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
  std::unordered_map<RunId, Paced> runs_;
  RunId next_id_ = 1;
  std::jthread thread_;  // last: it uses everything above
};

}  // namespace fathom::engine
