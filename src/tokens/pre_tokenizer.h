// Cuts text into the pieces inside which byte-pair merging works: a list of splits, each applied to every piece that
// the earlier ones left, matched or not.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "tokens/regex.h"

namespace fathom::tokens {

enum class SplitBehavior { kIsolated, kRemoved, kMergedWithPrevious, kMergedWithNext, kContiguous };

class PreTokenizer {
 public:
  // What a match becomes: a piece of its own (isolated), nothing (removed), part of a neighbour. `invert` swaps matched
  // and unmatched. Errors: the pattern's.
  base::Result<void> add_split(std::string_view pattern, SplitBehavior behavior = SplitBehavior::kIsolated,
                               bool invert = false);
  base::Result<void> add_literal_split(std::string_view text, SplitBehavior behavior, bool invert);
  // A space before each piece that does not start with one (ByteLevel's add_prefix_space).
  void add_prefix_space();

  // Pieces of the text, which must be valid UTF-8, in order. They point into the text or into `storage`.
  std::vector<std::string_view> split(std::string_view text, std::deque<std::string>& storage) const;

 private:
  struct Step {
    std::vector<Regex> regex;  // one, or none for the prefix space
    SplitBehavior behavior = SplitBehavior::kIsolated;
    bool invert = false;
  };
  std::vector<Step> steps_;
};

}  // namespace fathom::tokens
