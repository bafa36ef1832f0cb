// A small model that guesses what a large one of the same vocabulary will say (speculative decoding with a draft model,
// Leviathan et al. 2022, Chen et al. 2023; here the large model's own sampler judges, so that not even the draws of a
// run change). It reads every run in a cache of its own.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "engine/pages.h"
#include "engine/runner.h"
#include "engine/speculation.h"
#include "tokens/tokenizer.h"

namespace fathom::engine {

class DraftModel {
 public:
  // Memory that the caches of runs may take in all; a run that finds none has no guesses of this model.
  static constexpr std::size_t kCacheBytes = std::size_t{512} << 20;

  // Errors: no address space for the cache.
  static base::Result<std::unique_ptr<DraftModel>> make(std::unique_ptr<Runner> runner);

  // What was read of one run. Gives its pages back when it goes; must not outlive the model.
  class Memory {
   public:
    Memory() = default;
    ~Memory() { forget(); }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    void forget();

   private:
    friend class DraftModel;
    PagePool* pool_ = nullptr;
    std::vector<std::byte*> pages_;
    std::size_t settled_ = 0;                 // tokens of the run that are in the cache
    std::vector<tokens::TokenId> following_;  // and those behind them that were guesses
  };

  // A run that decodes: what it has said, and how many guesses are wanted of what follows.
  struct Wanted {
    std::span<const tokens::TokenId> ids;
    std::size_t most = 0;
    Memory* memory = nullptr;
    std::vector<tokens::TokenId>* guesses = nullptr;  // empty; has room for `most`
  };
  // The likeliest tokens, one after the other. What a run has said since the last time is read first; a long text takes
  // several calls, and has no guesses before its end.
  void guess(std::span<Wanted> wanted);

  // The ids that it knows are 0 .. vocabulary() - 1.
  std::int64_t vocabulary() const { return runner_->model().config().vocabulary; }

 private:
  DraftModel(std::unique_ptr<Runner> runner, PagePool pool);
  std::size_t known(const Wanted& wanted) const;
  bool grow(Memory& memory, std::size_t tokens);
  void read(std::span<Wanted> wanted);
  void go_on(std::span<Wanted> wanted);
  void add_row(const Wanted& wanted, tokens::TokenId token, std::size_t position, bool logits);
  void compute();

  std::unique_ptr<Runner> runner_;
  PagePool pool_;
  // Of one step.
  std::vector<model::Row> rows_;
  std::vector<model::SequencePages> pages_;
  std::vector<const Wanted*> answered_;  // whose guesses the step's logits are, in their order
};

}  // namespace fathom::engine
