// Drafts: guesses at a run's next tokens, computed together with its last one in the same step. The run's own sampler
// then chooses token after token from their logits, and goes on as long as it chooses what was guessed: what a run
// says, greedy or sampled, does not depend on drafts, only how soon. They are made only while that pays, which is
// measured.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tokens/tokenizer.h"

namespace fathom::engine {

// Guesses of one run, and how they fared.
struct Drafts {
  // A run has at most so many at once.
  static constexpr std::size_t kMost = 7;

  std::vector<tokens::TokenId> tokens;  // what may follow its last token; its room is reserved
  tokens::TokenId own = -1;             // what the model's own layer for that guesses to follow; -1: nothing
  double share = 0.5;                   // of guesses that were right, lately

  Drafts() { tokens.reserve(kMost); }
  // The guesses were wrong from the `right`-th on; of those after it nothing is known.
  void judge(std::size_t right) {
    for (std::size_t i = 0; i < tokens.size() && i <= right; ++i) share += ((i < right ? 1.0 : 0.0) - share) / 8;
    tokens.clear();
  }
};

// Guesses that what followed the same last tokens before will follow again: prompt look-up, for texts that repeat what
// is in their prompt. Fills `out`, which has room for `most`.
void look_up(std::span<const tokens::TokenId> ids, std::size_t most, std::vector<tokens::TokenId>& out);

// As look_up, but where the model has a guess of its own (`own` >= 0) that guess is the first: found tokens count only
// if they begin with it.
void guess(std::span<const tokens::TokenId> ids, tokens::TokenId own, std::size_t most,
           std::vector<tokens::TokenId>& out);

// Whether drafts pay: what a step costs without, and what a row more costs.
class DraftCost {
 public:
  // How many guesses are worth their rows for a run of which the share `share` came true, in a step of `streams` runs
  // that all decode.
  std::size_t worth(double share, std::size_t streams) const;
  // A step of `streams` decoding runs and nothing else took `seconds`, with `drafts` rows more.
  void record(double seconds, std::size_t streams, std::size_t drafts);

 private:
  std::size_t streams_ = 0;  // that what follows was measured with
  double plain_seconds_ = 0;
  double row_seconds_ = 0;
  bool row_known_ = false;
  std::uint64_t steps_ = 0;
};

}  // namespace fathom::engine
