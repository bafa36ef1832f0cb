// Which element type each tensor of a file gets. The rule is the one that people's files are made by: some tensors cost
// little and matter much, so they get more bits than the rest.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/dtype.h"

namespace fathom::weights {

// What a whole file is called by: the type of most of its matrices.
struct FileType {
  std::string_view name;  // "q4_k_m"
  base::DType base;
  std::uint32_t id;    // general.file_type
  bool mixed = false;  // "m": values and the way down get Q6_K in the layers that matter most
};

std::span<const FileType> file_types();
const FileType* find_file_type(std::string_view name);  // null for an unknown one

// What the rule asks about a model.
struct MixtureModel {
  std::int64_t layers = 0;  // MTP layers included
  std::int64_t experts = 0;
  std::int64_t queries_per_key = 1;  // heads that share a key-value head
  bool tied = false;                 // the embedding is the output matrix too
};

// The type of the tensor of that GGUF name; shape in PyTorch's order.
base::DType tensor_type(const FileType& file, const MixtureModel& model, std::string_view name,
                        std::span<const std::int64_t> shape);

}  // namespace fathom::weights
