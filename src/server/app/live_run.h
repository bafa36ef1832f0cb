// A run that is under way: the engine's thread adds to it, any number of readers follow it, and it ends when its end is
// on disk. It belongs to the server: readers come and go.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "chat/store.h"
#include "engine/answer.h"
#include "server/app/run_log.h"
#include "server/metering.h"
#include "server/model_pool.h"

namespace fathom::server::app {

class LiveRun {
 public:
  // `before` is what the message held when a run continues it; empty for a new answer. `store` must outlive the run.
  // `budget`: the tokens that it may think, -1: as many as it wants. `prices` must outlive it too; nullptr: no costs.
  LiveRun(chat::Store& store, chat::Run run, ModelUse model, chat::Message before, int budget, const PriceList* prices);

  const chat::Run& run() const { return run_; }
  chat::Store& store() const { return store_; }
  engine::LoadedModel& model() const { return *model_; }

  // ---- the engine's thread
  enum class Added { kMore, kLast, kThoughtEnough };
  // kLast: nothing more comes. kThoughtEnough: nor does it, but the answer is still to be given (resume_prompt).
  Added add(const engine::AnswerDelta& delta);

  // ---- whoever starts and stops it
  // What it waits for, as readers are told until the first text comes: a `queued` or a `prefill` event.
  void set_phase(const Json& event);
  void submitted(engine::RunId id);
  // The prompt with the thought so far, brought to its end.
  tokens::Rendered resume_prompt(tokens::Rendered prompt);
  void failed_to_start(chat::RunError error);
  enum class Why { kPerson, kShutdown };
  void stop(Why why);                     // ends within a step of the engine
  chat::EndedRun result() const;          // when the last delta came
  UsageCounts used() const;               // the same
  void end(const chat::EndedRun& ended);  // it is on disk: tells the readers

  // ---- readers
  RunLog log() const;
  // The message as it is now.
  void show_in(chat::Message& message, std::int64_t& position) const;
  static std::unique_ptr<EventStream> watch(const std::shared_ptr<LiveRun>& run, std::int64_t position);
  // Answers when it is over.
  static std::unique_ptr<LateResponse> wait_for_end(const std::shared_ptr<LiveRun>& run);

 private:
  class Stream;
  class EndReply;
  void wake_readers();  // with the mutex held
  Json usage() const;
  Json cost() const;
  void count(const engine::AnswerDelta& delta);

  chat::Store& store_;
  const chat::Run run_;
  const ModelUse model_;
  const chat::Message before_;
  const int budget_;
  const PriceList* const prices_;

  mutable std::mutex mutex_;  // of all that follows
  RunLog log_;
  std::chrono::steady_clock::time_point first_thought_{};
  double thought_seconds_ = 0;  // so far
  std::string finish_;          // the status that it will end with
  std::string phase_;           // the event that says what it waits for; empty once text came
  std::uint64_t phase_number_ = 0;
  std::optional<engine::RunId> engine_run_;
  bool thought_enough_ = false;       // the budget is spent
  engine::RunStatistics statistics_;  // of all of it
  engine::RunStatistics earlier_;     // of the engine's run that thought, where another one answers
  int reasoning_tokens_ = 0, earlier_reasoning_tokens_ = 0;
  std::optional<Why> stop_asked_;
  std::map<const void*, std::function<void()>> wakes_;
};

}  // namespace fathom::server::app
