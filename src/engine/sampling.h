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
  std::uint64_t seed = 0;  // 0: a drawn one, another each time
  int top_logprobs = -1;   // -1: none wanted; 0: of the chosen token; n: and of the n likeliest
};

// A seed that somebody chose. 0 is one as well, and becomes a number that is always the same.
constexpr std::uint64_t chosen_seed(std::uint64_t seed) {
  return seed == 0 ? 0x5eed'0000'0000'0000 : seed;
}

}  // namespace fathom::engine
