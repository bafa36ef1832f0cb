// What a GGUF file to be written holds: its tensors with where their numbers come from, and its keys. Only a plan: no
// tensor is read for it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/tensor.h"
#include "files/gguf_writer.h"
#include "weights/binding.h"
#include "weights/checkpoint.h"
#include "weights/quantize_mixture.h"

namespace fathom::weights {

// Where the rows of a converted matrix stand in its source. In each group of `group` rows (a head), the `count` rows
// from `begin` on go from halves (i, i + count / 2) to pairs (2 i, 2 i + 1). group 0: all as they are.
struct RowOrder {
  std::int64_t group = 0, begin = 0, count = 0;

  std::int64_t source(std::int64_t row) const {
    if (group == 0) return row;
    const std::int64_t i = row % group - begin;
    if (i < 0 || i >= count) return row;
    return row - i + i / 2 + (i % 2) * (count / 2);
  }
};

struct ConvertedTensor {
  std::string name;                 // GGUF's
  std::vector<std::int64_t> shape;  // PyTorch's order
  base::DType type = base::DType::kF32;
  std::vector<base::Tensor> parts;  // matrices that follow each other: one, the experts, or the heads
  RowOrder order;
  bool transposed = false;  // each part is turned round
  std::vector<float> made;  // instead of parts: numbers that the source has no tensor of

  std::int64_t cols() const { return shape.empty() ? 1 : shape.back(); }
};

struct ConvertPlan {
  std::vector<ConvertedTensor> tensors;
  files::GgufWriter writer;
};

// From a GGUF file: its tensors and keys as they are, but for types. From a directory: the tensors of `specs` (the
// model's own list, so that what no forward pass reads is left behind). The plan holds views of the checkpoint.
base::Result<ConvertPlan> plan_conversion(const Checkpoint& from, std::span<const TensorSpec> specs,
                                          const FileType& type);

}  // namespace fathom::weights
