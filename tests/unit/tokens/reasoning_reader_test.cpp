// Thought and answer, split as they come.
#include "tokens/reasoning_reader.h"

#include <gtest/gtest.h>

#include "tiny_tokenizer.h"

namespace fathom::tokens {
namespace {

struct Split {
  std::string reasoning, content;
  std::size_t thought_tokens = 0;
  bool operator==(const Split&) const = default;
};

Split read(const Tokenizer& tokenizer, bool opens, const Ids& ids) {
  ReasoningReader reader(tokenizer, opens);
  Split out;
  const auto take = [&](const ReasoningReader::Text& text) {
    out.reasoning += text.reasoning;
    out.content += text.content;
  };
  for (const TokenId id : ids) {
    const auto text = reader.push(id);
    out.thought_tokens += text.in_reasoning ? 1 : 0;
    take(text);
  }
  take(reader.flush());
  return out;
}

const Tiny kThinks = {.added = {{"<think>", false}, {"</think>", false}, {"<|end|>"}}};

Split answer(bool opens, std::string_view text) {
  const Tokenizer t = tiny_tokenizer(kThinks);
  return read(t, opens, t.encode(text, true));
}

TEST(ReasoningReader, ThoughtOpenedByThePrompt) {
  EXPECT_EQ(answer(true, "hm\nhm\n</think>\n\nTwo."), (Split{"hm\nhm", "Two.", 7}));
  EXPECT_EQ(answer(true, "\n\n</think>\n\nTwo.\n"), (Split{"", "Two.\n", 3}));
  EXPECT_EQ(answer(true, "never ends\n"), (Split{"never ends\n", "", 11}));
  EXPECT_EQ(answer(true, "</think>"), (Split{"", "", 1}));
}

TEST(ReasoningReader, ThoughtOpenedByTheModel) {
  EXPECT_EQ(answer(false, "<think>\nhm</think>\n\n\nTwo\n\nThree"), (Split{"hm", "Two\n\nThree", 5}));
  EXPECT_EQ(answer(false, "\n<think>hm</think>x"), (Split{"hm", "x", 4}));
  EXPECT_EQ(answer(false, "x<think>y</think>z"), (Split{"", "xyz", 0}));  // only at the start
}

TEST(ReasoningReader, PlainAnswersAreLeftAlone) {
  EXPECT_EQ(answer(false, "\n\n Two.\n"), (Split{"", "\n\n Two.\n", 0}));
  EXPECT_EQ(answer(false, "   "), (Split{"", "   ", 0}));
  EXPECT_EQ(answer(false, "Two<|end|>"), (Split{"", "Two", 0}));  // control tokens give no text
  EXPECT_EQ(answer(false, ""), (Split{"", "", 0}));
}

TEST(ReasoningReader, TagsAreTokensNotText) {
  const Tokenizer t = tiny_tokenizer(kThinks);
  EXPECT_EQ(read(t, false, bytes_of("<think>x</think>y")), (Split{"", "<think>x</think>y", 0}));
  EXPECT_EQ(read(t, true, bytes_of("x</think>y")), (Split{"x</think>y", "", 10}));
}

TEST(ReasoningReader, TagsAreTextWhereThereAreNoTokens) {
  const Tokenizer t = tiny_tokenizer({});
  EXPECT_EQ(read(t, true, bytes_of("a < b\n</th</think>\n\nTwo")).content, "Two");
  EXPECT_EQ(read(t, true, bytes_of("a < b\n</th</think>\n\nTwo")).reasoning, "a < b\n</th");
  EXPECT_EQ(read(t, false, bytes_of(" <think>\nhm\n</think>Two")).reasoning, "hm");
  EXPECT_EQ(read(t, false, bytes_of(" <think>\nhm\n</think>Two")).content, "Two");
  EXPECT_EQ(read(t, false, bytes_of(" <thin air")).content, " <thin air");
  EXPECT_EQ(read(t, false, bytes_of("<thin")).content, "<thin");
  EXPECT_EQ(read(t, true, bytes_of("a\n</thi")).reasoning, "a\n</thi");
}

TEST(ReasoningReader, HoldsBackHalfCharactersAndLineEnds) {
  const Tokenizer t = tiny_tokenizer(kThinks);
  ReasoningReader reader(t, true);
  EXPECT_EQ(reader.push('a').reasoning, "a");
  EXPECT_EQ(reader.push('\n').reasoning, "");
  EXPECT_EQ(reader.push('b').reasoning, "\nb");
  EXPECT_EQ(reader.push(0xC3).reasoning, "");
  EXPECT_EQ(reader.push(0xA9).reasoning, "\u00E9");
  EXPECT_EQ(reader.push(0xC3).reasoning, "");
  EXPECT_EQ(reader.push(*t.find("</think>")).reasoning, "\uFFFD");
  EXPECT_EQ(reader.push('\n').content, "");
  const auto text = reader.push('c');
  EXPECT_EQ(text.content, "c");
  EXPECT_FALSE(text.in_reasoning);
}

}  // namespace
}  // namespace fathom::tokens
