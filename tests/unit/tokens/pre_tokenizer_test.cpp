// How the named pre-tokenizers cut texts, held against what the tokenizers library said (compare_with_tokenizers.py
// --write-pieces), and the rewriting of patterns.
#include "tokens/pre_tokenizer.h"

#include <gtest/gtest.h>

#include "files/json.h"
#include "tokens/normalizer.h"
#include "tokens/pre_tokenizer_table.h"
#include "tokens/regex.h"
#include "tokens/utf8.h"

namespace fathom::tokens {
namespace {

// Ends of the pieces, counted in characters.
std::vector<std::size_t> ends_of(const PreTokenizer& pre, const std::string& text) {
  std::deque<std::string> storage;
  std::vector<std::size_t> ends;
  std::size_t characters = 0;
  for (const std::string_view piece : pre.split(text, storage)) {
    for (std::size_t at = 0; at < piece.size(); ++characters) at += utf8::unit_at(piece, at).size;
    ends.push_back(characters);
  }
  return ends;
}

TEST(PreTokenizer, CutsAsTheReference) {
  const auto golden = files::read_json(FATHOM_SOURCE_DIR "/tests/golden/tokens/pieces.json");
  ASSERT_TRUE(golden) << golden.error().message;
  int compared = 0;
  for (const auto& [name, rows] : (*golden)["pieces"].items()) {
    const auto row = pre_tokenizer_row(name);
    ASSERT_TRUE(row) << row.error().message;
    PreTokenizer pre;
    for (const std::string& pattern : row->patterns) ASSERT_TRUE(pre.add_split(pattern));
    Normalizer normalizer;
    if (row->nfc) normalizer.add(NormalForm::kNfc);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::string text = normalizer.apply((*golden)["texts"][i].get<std::string>());
      EXPECT_EQ(ends_of(pre, text), rows[i].get<std::vector<std::size_t>>()) << name << ": " << text;
      ++compared;
    }
  }
  EXPECT_GT(compared, 500);
}

TEST(PreTokenizer, SeveralPatternsCutEveryPiece) {
  const auto row = pre_tokenizer_row("deepseek-v3");
  PreTokenizer pre;
  for (const std::string& pattern : row->patterns) ASSERT_TRUE(pre.add_split(pattern));
  EXPECT_EQ(ends_of(pre, "1234567"), (std::vector<std::size_t>{3, 6, 7}));
  // The second pattern takes the whole word, the third cuts it at the middle dot.
  EXPECT_EQ(ends_of(pre, "\u30AB\u30FB\u30CA"), (std::vector<std::size_t>{1, 2, 3}));
}

TEST(PreTokenizer, TextsFromTwoSidesOfAnEmptyMatch) {
  PreTokenizer pre;
  ASSERT_TRUE(pre.add_split("x*"));
  EXPECT_EQ(ends_of(pre, "a\u00E9xxb"), (std::vector<std::size_t>{1, 2, 4, 5}));
}

TEST(Regex, SpacesAreThoseOfUnicode) {
  const auto matches = [](std::string_view pattern, std::string_view text) {
    const auto regex = Regex::compile(pattern);
    EXPECT_TRUE(regex) << regex.error().message;
    Regex::Matches walk(*regex);
    walk.start(text);
    std::size_t begin = 0, end = 0;
    return walk.next(0, begin, end);
  };
  for (const char* space : {" ", "\t", "\u0085", "\u00A0", "\u2003", "\u2028", "\u3000"}) {
    EXPECT_TRUE(matches("^\\s$", space)) << space;
    EXPECT_FALSE(matches("[^\\s]", space)) << space;
    EXPECT_FALSE(matches("[\\S]", space)) << space;
  }
  for (const char* other : {"\u180E", "\u200B", "\uFEFF", "a"}) {
    EXPECT_FALSE(matches("\\s", other)) << other;
    EXPECT_TRUE(matches("[\\S]", other)) << other;
  }
  EXPECT_TRUE(matches("^\\w$", "\u0301"));
  EXPECT_TRUE(matches("(?i:'s)", "'\u017F"));  // the long s folds to s
}

TEST(Regex, RefusesWhatPcreReadsInAnotherWay) {
  for (const char* pattern : {"[a[bc]]", "[a&&b]", "(*UTF)a", "\\Ka", "[\\W]", "(", "\\R", "a{99999999}"}) {
    EXPECT_FALSE(Regex::compile(pattern)) << pattern;
  }
  EXPECT_FALSE(Regex::compile("\xFF"));
  EXPECT_FALSE(Regex::compile(std::string(100'000, 'a')));
  EXPECT_FALSE(Regex::compile(std::string(5'000, '(') + std::string(5'000, ')')));
}

TEST(Regex, ExplosionsEnd) {
  const auto regex = Regex::compile("(a+)+$");
  ASSERT_TRUE(regex);
  Regex::Matches walk(*regex);
  const std::string text = std::string(40, 'a') + "b";
  walk.start(text);
  std::size_t begin = 0, end = 0;
  EXPECT_FALSE(walk.next(0, begin, end));
}

}  // namespace
}  // namespace fathom::tokens
