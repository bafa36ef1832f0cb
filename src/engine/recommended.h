// The sampling settings that a model's own files recommend, and where each came from.
#pragma once

#include <string>
#include <vector>

#include "engine/sampling.h"
#include "weights/checkpoint.h"

namespace fathom::engine {

struct Recommended {
  SamplingOptions sampling;
  std::vector<tokens::TokenId> stop_tokens;  // what generation_config.json adds to the tokenizer's
  std::string source;                        // "generation_config.json", "the GGUF file", "built-in defaults"
};

// Built-in defaults (those of R1) under what the files say. Errors: a setting outside its range, named.
base::Result<Recommended> recommended(const weights::Checkpoint& checkpoint);

}  // namespace fathom::engine
