// Logits of every position of a text: what `logits`, `perplexity` and evaluation by likelihood read.
#pragma once

#include <functional>
#include <span>

#include "engine/runner.h"
#include "tokens/tokenizer.h"

namespace fathom::engine {

struct ScoreSinks {
  // Row t's logits [V], in order of t.
  std::function<void(std::int64_t t, std::span<const float> logits)> logits;
  // The MTP layer's [V], from the hidden state at t and the token at t + 1, t = 0 .. T - 2. Empty: not computed.
  std::function<void(std::int64_t t, std::span<const float> logits)> mtp_logits;
};

// Errors: no tokens, more than the context holds, an id outside the vocabulary, MTP asked of a model without the layer.
base::Result<void> score(Runner& runner, std::span<const tokens::TokenId> ids, const ScoreSinks& sinks);

// What submit() and score() check of ids from outside.
base::Result<void> check_tokens(std::span<const tokens::TokenId> ids, std::int64_t vocabulary);

}  // namespace fathom::engine
