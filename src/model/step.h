// One step of a model over a batch: the rows (tokens) to compute, where their sequences' cache pages lie, and the
// operations a forward pass is written in. Each operation is one parallel loop over the kernel table. Requests,
// sampling and sockets are not known here.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <vector>

#include "base/arena.h"
#include "base/tensor.h"
#include "base/thread_pool.h"
#include "kernels/table.h"
#include "model/cache.h"
#include "model/config.h"
#include "weights/binding.h"

namespace fathom::model {

// One token. Rows of a sequence stand together, in order of position.
struct Row {
  std::int32_t token = 0;
  std::int32_t position = 0;
  std::int32_t sequence = 0;  // index into the step's sequences
  bool prefill = false;  // lies in a full cell of its sequence's prefill grid: may take the form made for many rows
  bool logits = false;   // logits are wanted
};

struct SequencePages {
  std::span<std::byte* const> pages;  // enough for every position of the sequence's rows
};

// What a step borrows; all of it outlives the step.
struct StepResources {
  const kernels::Table* table = nullptr;
  base::ThreadPool* pool = nullptr;
  base::Arena* arena = nullptr;
  CacheLayout cache;
  bool pack = false;  // the model has weights in block formats, and the table wants 8-bit activations for them
};

class Step {
 public:
  Step(const StepResources& resources, std::span<const Row> rows, std::span<const SequencePages> sequences);

  std::int64_t rows() const { return static_cast<std::int64_t>(rows_.size()); }
  std::span<const Row> row_list() const { return rows_; }
  const kernels::Table& table() const { return *r_.table; }
  base::ThreadPool& pool() const { return *r_.pool; }
  base::Arena& arena() const { return *r_.arena; }
  const CacheLayout& cache() const { return r_.cache; }

  // Results, filled by a forward pass: one row [vocabulary] for each Row with `logits`, and the hidden states after the
  // final norm, [rows][dim], which an MTP layer starts from.
  std::span<float> logits;
  float* hidden = nullptr;
  // Called with the residual [rows][dim] after the embedding (0) and after each layer (1 ..), when set.
  std::function<void(std::int64_t layer, const float* x)> probe;

  float* floats(std::int64_t rows, std::int64_t width) { return arena().array<float>(rows * width); }

  // [rows][dim] of the tokens' embeddings.
  float* embed(const base::Tensor& embedding, std::int64_t dim);

  // RMSNorm of each of n rows [n][width] (weight empty: none is applied), ready for projections.
  kernels::Activations norm(const float* x, std::int64_t n, std::int64_t width, std::span<const float> weight,
                            float eps);
  // Rows as they are, ready for projections.
  kernels::Activations activations(const float* x, std::int64_t n, std::int64_t width);

  struct Projection {
    const base::Tensor* weight = nullptr;
    std::span<const float> bias;
    float* out = nullptr;  // [n][out features]
    bool accumulate = false;
  };
  // Several products with the same n rows in one loop.
  void project(const kernels::Activations& in, std::int64_t n, std::initializer_list<Projection> projections);

  // silu(gate) * up, [n][width], ready for projections.
  kernels::Activations swiglu(const float* gate, const float* up, std::int64_t n, std::int64_t width);

  // cos and sin of every row's position, [rows][dim / 2] each, times the amplitude.
  struct Angles {
    const float* cos;
    const float* sin;
    std::int64_t pairs;
    const float* cos_of(std::int64_t row) const { return cos + row * pairs; }
    const float* sin_of(std::int64_t row) const { return sin + row * pairs; }
  };
  Angles angles(std::span<const float> frequencies, float amplitude);

  // Row `row`'s cache row of one head.
  std::byte* cache_row(std::int64_t row, std::int64_t layer, std::size_t plane, std::int64_t head) const;
  // The cache row at `position` of the sequence that row `row` belongs to.
  std::byte* cached(std::int64_t row, std::int64_t position, std::int64_t layer, std::size_t plane,
                    std::int64_t head) const;

  // Attention of rows [first, first + n) over the cache: query head h reads kv head h / (heads / plane heads).
  struct Attention {
    std::int64_t layer = 0;
    std::size_t key_plane = 0, value_plane = 0;
    std::int64_t heads = 0;
    const float* q = nullptr;  // [n][heads][width]
    std::int64_t width = 0, value_width = 0;
    float scale = 1;
    float* out = nullptr;  // [n][heads][value_width]
  };
  void attend(std::int64_t first, std::int64_t n, const Attention& a);

  // Calls work(begin, end) over rows in parallel.
  void each_row(std::int64_t n, base::FunctionRef<void(std::int64_t begin, std::int64_t end)> work);

  // Final norm and output matrix for the rows that want logits.
  void finish(const float* x, std::int64_t dim, std::span<const float> norm_weight, float eps,
              const base::Tensor& head);

 private:
  std::byte* packed_rows(std::int64_t n, std::int64_t width, std::size_t& stride);

  const StepResources& r_;
  std::span<const Row> rows_;
  std::span<const SequencePages> sequences_;
};

}  // namespace fathom::model
