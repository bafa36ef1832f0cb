// How the next token is chosen from logits: the settings of a request, and the sampler that applies them.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "tokens/tokenizer.h"

namespace fathom::engine {

struct SamplingOptions {
  float temperature = 1.0f;         // 0: greedy, exact
  int top_k = 0;                    // 0: off
  float top_p = 1.0f;               // 1: off
  float min_p = 0.0f;               // 0: off
  float repetition_penalty = 1.0f;  // 1: off; over prompt and answer
  float frequency_penalty = 0.0f;   // over the answer
  float presence_penalty = 0.0f;
  std::vector<std::pair<tokens::TokenId, float>> logit_bias;
  std::uint64_t seed = 0;  // the engine draws one where the request gives none
  int top_logprobs = -1;   // -1: none wanted; 0: of the chosen token; n: and of the n likeliest
};

}  // namespace fathom::engine
