// The engine over a Runner: continuous batching. Each step takes one token of every decoding run and fills up with
// prompt tokens of the oldest runs still in prefill, cut at cells of their own grids.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "engine/engine.h"
#include "engine/pages.h"
#include "engine/runner.h"
#include "engine/sampler.h"

namespace fathom::engine {

class BatchEngine final : public Engine {
 public:
  // `runner` must outlive the engine and be used by nobody else. `undefined` are ids that name no token: never sampled.
  static base::Result<std::unique_ptr<BatchEngine>> make(Runner& runner, std::vector<tokens::TokenId> undefined);
  ~BatchEngine() override;

  base::Result<RunId> submit(Run run, TokenSink sink) override;
  void cancel(RunId id) override;
  int context_length() const override { return runner_.context(); }

 private:
  using Clock = std::chrono::steady_clock;

  // One run: its tokens, how many of them are in the cache, its pages. Owned by the engine's thread once admitted.
  struct Sequence {
    RunId id = 0;
    Run run;
    TokenSink sink;
    std::vector<tokens::TokenId> ids;  // prompt, then answer
    std::int64_t computed = 0;         // ids whose cache rows are written
    std::int64_t limit = 0;            // ids it may have at most
    std::vector<std::byte*> pages;
    std::optional<Sampler> sampler;
    RunStatistics statistics;
    Clock::time_point submitted, admitted, first_token;
    bool cancelled = false, finished = false;

    bool decoding() const { return computed + 1 == static_cast<std::int64_t>(ids.size()) && computed >= prompt_size(); }
    std::int64_t prompt_size() const { return static_cast<std::int64_t>(run.prompt.size()); }
  };

  BatchEngine(Runner& runner, PagePool pages, std::vector<tokens::TokenId> undefined);
  void loop(std::stop_token stop);
  bool take_messages(std::stop_token stop);
  void admit();
  void build_step();
  void run_step();
  void deliver(Sequence& sequence, std::span<float> logits);
  void finish(Sequence& sequence, TokenEvent event);
  void retire();

  Runner& runner_;
  const std::vector<tokens::TokenId> undefined_;

  // What other threads hand over.
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::deque<std::unique_ptr<Sequence>> submitted_;  // under mutex_
  std::vector<RunId> cancelled_;                     // under mutex_
  std::size_t waiting_count_ = 0;                    // under mutex_: submitted and not yet admitted
  RunId next_id_ = 1;                                // under mutex_

  // The engine thread's own.
  PagePool pages_;
  std::deque<std::unique_ptr<Sequence>> waiting_;
  std::list<std::unique_ptr<Sequence>> running_;  // oldest first
  std::vector<model::Row> rows_;
  std::vector<model::SequencePages> step_pages_;
  std::vector<Sequence*> step_sequences_;

  std::jthread thread_;  // last: it uses everything above
};

}  // namespace fathom::engine
