// What narrows a run to a format: which tokens may come next. The engine knows only masks over token ids; grammars and
// JSON are made into one by whoever asks.
#pragma once

#include <cstdint>
#include <span>

#include "tokens/tokenizer.h"

namespace fathom::engine {

// One run's state, used by the engine's thread alone.
class Constraint {
 public:
  virtual ~Constraint() = default;
  // Bit i % 32 of word i / 32 is set where token i may come next; ceil(vocabulary / 32) words. Empty: every token may.
  virtual std::span<const std::uint32_t> allowed() = 0;
  // Takes a token of the answer. False: the token was not allowed, the state is as it was.
  virtual bool accept(tokens::TokenId token) = 0;
  // Takes back the last `count` accepted tokens (drafts that were not confirmed).
  virtual void roll_back(int count) = 0;
};

// Makes every token that is not allowed impossible (its logit -infinity); ids beyond the words are not allowed. False:
// nothing is left to choose from.
bool keep_allowed(std::span<float> logits, std::span<const std::uint32_t> allowed);

}  // namespace fathom::engine
