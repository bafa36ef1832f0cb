// Chooses a token from logits. One sampler a run: it holds the random state and the counts that penalties need.
#pragma once

#include <span>
#include <vector>

#include "engine/sampling.h"

namespace fathom::engine {

class Sampler {
 public:
  // `prompt` counts for the repetition penalty alone.
  Sampler(const SamplingOptions& options, std::int64_t vocabulary, std::span<const tokens::TokenId> prompt);

  // Applies bias and penalties to `logits` (in place), then: temperature, top-k, top-p, min-p, draw. With temperature 0
  // the highest logit wins, the lower id on a tie.
  tokens::TokenId sample(std::span<float> logits);
  // What was sampled (or forced) counts for the penalties of the next tokens.
  void accept(tokens::TokenId token);

 private:
  struct Candidate {
    float logit;  // then probability weight
    tokens::TokenId id;
  };
  void penalise(std::span<float> logits) const;
  double next_uniform();

  SamplingOptions options_;
  std::uint64_t state_;
  std::vector<tokens::TokenId> seen_;        // distinct tokens of prompt and answer
  std::vector<std::uint8_t> is_seen_;        // by id, while a penalty needs it
  std::vector<std::int32_t> answer_counts_;  // by id, while a penalty needs it
  std::vector<Candidate> candidates_;
};

// log softmax(logits)[token], and of the n likeliest tokens (likeliest first).
float log_probability(std::span<const float> logits, tokens::TokenId token);
std::vector<std::pair<tokens::TokenId, float>> top_log_probabilities(std::span<const float> logits, int n);

}  // namespace fathom::engine
