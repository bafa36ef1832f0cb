// Binds a model's list of tensors (its `describe`) to a checkpoint: every name found, every shape and type checked, and
// nothing in the file left over that would have changed the result. The same list counts and converts.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/tensor.h"
#include "weights/checkpoint.h"

namespace fathom::weights {

// A vector of parameters (norm weights, biases), fp32 whatever the file stores: small, and read by every token.
using Vector = std::vector<float>;

// One tensor of a model: its name in Hugging Face's spelling, its shape, and where a view of it (matrices stay as
// stored) or its values (vectors) go. An optional one may be missing; its slot then stays empty.
struct TensorSpec {
  std::string name;
  std::vector<std::int64_t> shape;
  base::Tensor* matrix = nullptr;
  Vector* vector = nullptr;
  bool optional = false;
  bool may_be_absent = false;  // optional even where the group it belongs to is there
};

// Errors: a missing tensor, another shape or an element type without kernels, a tensor of the file that the list does
// not name. Tensors of layers from `layers` on (an MTP layer that the configuration leaves out) are ignored.
base::Result<void> bind(const Checkpoint& checkpoint, std::span<const TensorSpec> specs, std::int64_t layers);

}  // namespace fathom::weights
