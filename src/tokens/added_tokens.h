// Finds added tokens in text: the leftmost first, of those the longest. Control tokens count only where the text is
// trusted.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tokens/tokenizer.h"

namespace fathom::tokens {

struct AddedToken {
  std::string text;
  TokenId id = 0;
  bool control = false;                          // matches in trusted text only
  bool normalized = false;                       // is looked for after normalising
  bool single_word = false;                      // not inside a word
  bool strip_left = false, strip_right = false;  // takes the white space beside it
};

// A stretch of bytes, for instance one that is trusted.
struct Range {
  std::size_t begin = 0, end = 0;
};

// A part of a text: an added token, or (id < 0) what lies between.
struct Segment {
  Range range;
  TokenId id = -1;
};

class AddedTokens {
 public:
  void add(AddedToken token);
  void finish();  // once, after the last
  bool empty() const { return tokens_.empty(); }

  // The text's parts in order. `trusted` holds ranges in order that neither touch nor overlap.
  std::vector<Segment> split(std::string_view text, const std::vector<Range>& trusted) const;

 private:
  const AddedToken* longest_at(std::string_view text, std::size_t at, std::size_t trusted_end) const;

  std::vector<AddedToken> tokens_;  // sorted by text once finished
  bool starts_[256] = {};           // bytes that a token starts with
};

}  // namespace fathom::tokens
