// A model ready to compute: its files, weights, threads and memory for intermediate values. One step at a time.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/arena.h"
#include "base/thread_pool.h"
#include "engine/loaded_model.h"
#include "model/model.h"
#include "weights/checkpoint.h"

namespace fathom::engine {

// Positions of one cell of the prefill grid: long enough that the expanded form of latent attention pays (about 170 new
// tokens at V3's widths), short enough that a running stream's gap stays small.
inline constexpr int kPrefillCell = 256;
// Rows of one step at most: what keeps activations of a wide model within the second-level cache and a step short.
inline constexpr int kStepRows = 512;

class Runner {
 public:
  // Errors: what is wrong with the files, an unknown cache type, a model or context that memory does not hold.
  static base::Result<std::unique_ptr<Runner>> load(const std::string& path, const LoadOptions& options);
  // A model whose weights lie in memory already; `name` stands in messages.
  static base::Result<std::unique_ptr<Runner>> make(std::unique_ptr<model::Model> model, std::string name,
                                                    const LoadOptions& options);

  bool has_files() const { return checkpoint_.has_value(); }  // it was loaded from a path
  // The files of a model that was loaded from a path; there must be some.
  const weights::Checkpoint& checkpoint() const {
    FATHOM_CHECK(checkpoint_.has_value());
    return *checkpoint_;
  }
  const std::string& name() const { return name_; }
  const model::Model& model() const { return *model_; }
  model::Model& mutable_model() { return *model_; }  // for describe()
  const model::CacheLayout& cache() const { return resources_.cache; }
  const model::StepResources& resources() const { return resources_; }
  int prefill_cell() const { return prefill_cell_; }
  // Whether rows of full prefill cells are computed in another form than the others (latent attention).
  bool two_forms() const { return model_->config().latent.kv_rank > 0; }
  // Positions a sequence may have: the option's, or the model's own, at most what memory holds.
  int context() const { return context_; }
  // Bytes the cache may take beside the weights.
  std::size_t cache_budget() const { return cache_budget_; }
  // Of these, bytes that may hold what no run uses: all where somebody said how much the cache may take, else a part
  // that leaves memory to other programs.
  std::size_t kept_budget() const { return kept_budget_; }

  // Forgets the last step's intermediate values and starts a step. The spans must outlive it.
  model::Step step(std::span<const model::Row> rows, std::span<const model::SequencePages> sequences);

 private:
  Runner(std::string name, int threads) : name_(std::move(name)), pool_(threads) {}
  base::Result<void> set_up(const LoadOptions& options);
  void read_weights(const LoadOptions& options);
  base::Result<void> size_cache(const LoadOptions& options);

  std::string name_;
  std::optional<weights::Checkpoint> checkpoint_;  // before the model, whose tensors point into it
  std::unique_ptr<model::Model> model_;
  base::ThreadPool pool_;
  base::Arena arena_;
  model::StepResources resources_;
  int prefill_cell_ = kPrefillCell;
  int context_ = 0;
  std::size_t cache_budget_ = 0, kept_budget_ = 0;
};

// Whether the token at `position` of a prompt of `prompt` tokens lies in a full cell of its grid.
inline bool in_full_cell(std::int64_t position, std::int64_t prompt, int cell) {
  return (position / cell + 1) * cell <= prompt;
}

}  // namespace fathom::engine
