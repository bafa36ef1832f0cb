// Text as search sees it: words of letters and digits, folded (case, width, accents). Of Chinese, Japanese and Korean,
// which write words without spaces between or with endings grown onto them, each letter is a unit, and the index holds
// letters and pairs of neighbours, so that a word of two letters is found wherever it stands.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "chat/records.h"

namespace fathom::chat {

struct SearchUnit {
  std::string text;                // folded: a word, or one CJK letter
  std::size_t begin = 0, end = 0;  // bytes of the text it was read from
  bool letter = false;
  bool joined = false;  // a letter right behind a letter
};

// The units of a text in order. Bytes that are not UTF-8 part words.
std::vector<SearchUnit> search_units(std::string_view text);

// For FTS5: any of a text's words, each once; of CJK the pairs of letters. Of a long text the first words alone.
// Empty: it has none.
std::string any_word_of(std::string_view text);

// What a person typed, as words that all have to be found.
class SearchQuery {
 public:
  explicit SearchQuery(std::string_view text);

  bool empty() const { return words_.empty(); }
  // For FTS5: the words in quotes, the last one also as the beginning of a word, where it has three letters and no CJK.
  const std::string& expression() const { return expression_; }
  // The text with what was searched for marked; of a long one `most` bytes around the first hit.
  MarkedText mark(std::string_view text, std::size_t most) const;

 private:
  using Word = std::vector<std::string>;  // units that follow one another
  std::size_t match(const std::vector<SearchUnit>& units, std::size_t at) const;

  std::vector<Word> words_;
  std::string expression_;
  bool last_is_prefix_ = false;
};

}  // namespace fathom::chat
