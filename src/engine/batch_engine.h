// The engine over a Runner: continuous batching. Each step takes one token of every decoding run and prompt tokens of
// those that are being read, as the scheduler says, computes them, samples and hands out what was sampled. Guesses ride
// along where that pays (speculation.h).
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "engine/draft_model.h"
#include "engine/engine.h"
#include "engine/runner.h"
#include "engine/scheduler.h"
#include "engine/step_pace.h"

namespace fathom::engine {

class BatchEngine final : public Engine {
 public:
  // `runner` must outlive the engine and be used by nobody else. `undefined` are ids that name no token: never sampled.
  static base::Result<std::unique_ptr<BatchEngine>> make(Runner& runner, std::vector<tokens::TokenId> undefined,
                                                         EngineOptions options = {});
  ~BatchEngine() override;

  base::Result<RunId> submit(Run run, TokenSink sink) override;
  void cancel(RunId id) override;
  int context_length() const override { return runner_.context(); }
  EngineStatus status() const override;

 private:
  BatchEngine(Runner& runner, Scheduler scheduler, std::vector<tokens::TokenId> undefined,
              const EngineOptions& options);
  void loop(std::stop_token stop);
  bool take_messages(std::stop_token stop);
  std::size_t guesses_worth(const Sequence& sequence, std::size_t streams) const;
  void guess();
  void build_step();
  void run_step();
  std::size_t take(Sequence& sequence, std::int64_t rows, std::span<float> logits);
  void draft(const float* hidden);
  void deliver(Sequence& sequence, std::span<float> logits);
  void finish(Sequence& sequence, TokenEvent event);
  void write_rest();
  void step_or_fail();
  void end_overdue();
  void end_cancelled();
  void publish_status();

  Runner& runner_;
  const std::vector<tokens::TokenId> undefined_;
  const std::chrono::milliseconds queue_limit_;

  // What other threads hand over.
  mutable std::mutex mutex_;
  std::condition_variable_any wake_;
  std::vector<std::unique_ptr<Sequence>> submitted_;  // under mutex_
  std::vector<RunId> cancelled_;                      // under mutex_
  EngineStatus status_;                               // under mutex_; `waiting` without submitted_
  RunId next_id_ = 1;                                 // under mutex_

  // The engine thread's own.
  std::shared_ptr<DraftModel> draft_model_;  // before the scheduler, whose runs hold pages of it
  std::vector<DraftModel::Wanted> wanted_;
  double guess_seconds_ = 0;  // what guessing took before this step
  Scheduler scheduler_;
  StepPace pace_;
  Speculate speculate_;
  DraftCost draft_cost_;
  std::uint64_t generated_tokens_ = 0, drafted_tokens_ = 0, accepted_tokens_ = 0, expired_ = 0;
  LatencyCounts first_token_, between_tokens_;
  std::span<const Scheduler::Part> parts_;  // of this step
  std::vector<model::Row> rows_;
  std::vector<model::SequencePages> step_pages_;
  std::vector<std::int64_t> computed_before_;  // of each part's sequence
  std::vector<model::Row> draft_rows_;

  std::jthread thread_;  // last: it uses everything above
};

}  // namespace fathom::engine
