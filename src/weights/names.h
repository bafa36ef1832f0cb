// How GGUF spells the tensors that Hugging Face's checkpoints name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fathom::weights {

struct GgufName {
  std::string name;
  std::int64_t expert = -1;  // matrix of a stack [experts, out, in]; -1: the tensor itself
};

// Nothing for a name that GGUF has no word for.
std::optional<GgufName> gguf_name(std::string_view name);

// The layer a tensor belongs to in either spelling, or -1.
std::int64_t layer_of(std::string_view name);

}  // namespace fathom::weights
