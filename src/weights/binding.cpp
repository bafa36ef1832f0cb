#include "weights/binding.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "kernels/table.h"
#include "weights/names.h"

namespace fathom::weights {
namespace {

using base::fail;
using base::Result;
using base::Tensor;

std::span<const std::int64_t> dims(const Tensor& t) {
  return {t.shape.data(), static_cast<std::size_t>(t.rank)};
}

// Some files flatten the leading dimensions of a stack ([H, r, n] as [H * r, n]); the bytes are the same.
bool same_shape(const Tensor& t, const std::vector<std::int64_t>& shape) {
  if (std::ranges::equal(dims(t), shape)) return true;
  if (shape.size() != 3 || t.rank != 2) return false;
  return t.dim(0) == shape[0] * shape[1] && t.dim(1) == shape[2];
}

bool has_kernels(base::DType dtype) {
  return kernels::find_table("scalar")->decode[static_cast<std::size_t>(dtype)] != nullptr;
}

void read_vector(const Tensor& t, Vector& out) {
  out.resize(static_cast<std::size_t>(t.elements()));
  kernels::find_table("scalar")->decode[static_cast<std::size_t>(t.dtype)](t.data, t.elements(), out.data());
}

// Tensors that files carry and no forward pass reads: frequencies that the configuration gives too, scales that went
// with their weights.
bool harmless(std::string_view name) {
  return name.ends_with("rotary_emb.inv_freq") || name.ends_with("_scale_inv") || name == "rope_freqs.weight" ||
         name.ends_with(".attn_rot_embd.weight");
}

}  // namespace

Result<void> bind(const Checkpoint& checkpoint, std::span<const TensorSpec> specs, std::int64_t layers) {
  std::set<std::string, std::less<>> known;
  for (const TensorSpec& spec : specs) {
    known.insert(checkpoint.stored_name(spec.name));
    auto found = checkpoint.find(spec.name);
    if (!found) return base::fail_with(checkpoint.path(), found.error());
    if (!*found) {
      if (spec.optional) continue;
      return fail("{}: tensor {} is missing (expected shape [{}])", checkpoint.path(),
                  checkpoint.stored_name(spec.name), fmt::join(spec.shape, ", "));
    }
    Tensor t = **found;
    if (!same_shape(t, spec.shape))
      return fail("{}: tensor {} has shape [{}], expected [{}]", checkpoint.path(), checkpoint.stored_name(spec.name),
                  fmt::join(dims(t), ", "), fmt::join(spec.shape, ", "));
    if (!has_kernels(t.dtype))
      return fail("{}: tensor {} is of type {}, which cannot be computed with", checkpoint.path(),
                  checkpoint.stored_name(spec.name), base::info(t.dtype).name);
    if (spec.matrix != nullptr) {
      t.rank = static_cast<int>(spec.shape.size());
      std::ranges::copy(spec.shape, t.shape.begin());
      *spec.matrix = t;
    }
    if (spec.vector != nullptr) read_vector(t, *spec.vector);
  }
  for (const std::string_view name : checkpoint.names())
    if (!known.contains(name) && !harmless(name) && layer_of(name) < layers)
      return fail("{}: tensor {} is not part of the architecture its configuration names", checkpoint.path(), name);
  return {};
}

}  // namespace fathom::weights
