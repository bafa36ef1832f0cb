#include "chat/file_text.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "chat/passages.h"

namespace fathom::chat {
namespace {

using namespace std::string_literals;

std::string read(std::string_view bytes) {
  const auto text = read_file_text(bytes);
  return text ? *text : "refused: " + text.error().message;
}

TEST(FileTextTest, Utf8IsTakenAsItIsWithOneKindOfLineEnd) {
  EXPECT_EQ(read("one\r\ntwo\rthree\n"), "one\ntwo\nthree\n");
  EXPECT_EQ(read("\xEF\xBB\xBF"
                 "안녕"),
            "안녕");
  EXPECT_EQ(read("tab\tand \x1B[1mcolour"), "tab\tand \x1B[1mcolour");
}

TEST(FileTextTest, Utf16IsReadByItsMark) {
  EXPECT_EQ(read("\xFF\xFEh\0i\0"s), "hi");
  EXPECT_EQ(read("\xFE\xFF\0h\0i"s), "hi");
  EXPECT_EQ(read("\xFE\xFF\xC5\x48\xB1\x55"), "안녕");
  EXPECT_TRUE(read("\xFF\xFEh\0i"s).starts_with("refused")) << "half a unit";
}

TEST(FileTextTest, KoreanChineseAndWesternAreTold) {
  EXPECT_EQ(read("\xC7\xD1\xB1\xB9\xBE\xEE,1\n\xB8\xF0\xB5\xA8,2\n"), "한국어,1\n모델,2\n");
  EXPECT_EQ(read("\xCE\xD2\xC3\xC7\xD4\xDA\xD5\xE2\xC0\xEF\xB5\xC4\xCE\xCA\xCC\xE2\n"), "我们在这里的问题\n");
  EXPECT_EQ(read("caf\xE9 na\xEFve, \x93quoted\x94"), "café naïve, “quoted”");
}

TEST(FileTextTest, WhatIsNoTextIsRefusedInALine) {
  for (const auto& [bytes, words] :
       std::initializer_list<std::pair<std::string, std::string>>{{"%PDF-1.7 x", "a PDF"},
                                                                  {"PK\x03\x04 and so on", "ZIP"},
                                                                  {"\x89PNG\r\n", "picture"},
                                                                  {"\x01\x02\x03\x04\x05"s, "no text"},
                                                                  {"a\0b"s, "no text"},
                                                                  {"", "empty"},
                                                                  {" \r\n\t", "empty"},
                                                                  {std::string(300, '\xFF'), "no text"},
                                                                  {std::string(kMostFileBytes + 1, 'x'), "at most"}}) {
    const auto text = read_file_text(bytes);
    ASSERT_FALSE(text) << bytes.substr(0, 20);
    EXPECT_TRUE(text.error().message.contains(words)) << text.error().message;
    EXPECT_FALSE(text.error().message.contains('\n'));
  }
}

TEST(FileTextTest, KindsFollowFromEndings) {
  EXPECT_EQ(kind_of_file("README.MD"), "markdown");
  EXPECT_EQ(kind_of_file("data.csv"), "csv");
  EXPECT_EQ(kind_of_file("a.b.cpp"), "code");
  EXPECT_EQ(kind_of_file("notes"), "text");
  EXPECT_EQ(kind_of_file("cpp"), "text");
}

// All of a text, in order, whatever it is; places that count its lines or pages.
void expect_whole(std::string_view text, bool pages) {
  std::size_t at = 0;
  for (const Passage& passage : cut_into_passages(text, pages)) {
    EXPECT_EQ(passage.from, at);
    EXPECT_GT(passage.to, passage.from);
    EXPECT_LE(passage.to - passage.from, kPassageBytes);
    const auto count = std::ranges::count(text.substr(0, passage.from), pages ? '\f' : '\n');
    EXPECT_EQ(passage.first, count + 1);
    const auto until = std::ranges::count(text.substr(0, passage.to - 1), pages ? '\f' : '\n');
    EXPECT_EQ(passage.last, until + 1);
    at = passage.to;
  }
  EXPECT_EQ(at, text.size());
}

TEST(PassagesTest, PassagesAreWholeLinesAndHoldAll) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += "line " + std::to_string(i) + (i % 7 == 0 ? "\n\n" : "\n");
  expect_whole(text, false);
  for (const Passage& passage : cut_into_passages(text, false)) EXPECT_EQ(text[passage.to - 1], '\n');
  expect_whole("one line", false);
  EXPECT_TRUE(cut_into_passages("", false).empty());
}

TEST(PassagesTest, ALongLineIsCutBetweenWordsOrCharacters) {
  std::string words, letters;
  for (int i = 0; i < 2000; ++i) words += "word ";
  for (int i = 0; i < 2000; ++i) letters += "한";
  expect_whole(words, false);
  expect_whole(letters + "\nend", false);
  for (const Passage& passage : cut_into_passages(words, false)) EXPECT_EQ(words[passage.to - 1], ' ');
  for (const Passage& passage : cut_into_passages(letters, false)) EXPECT_EQ((passage.to - passage.from) % 3, 0u);
}

TEST(PassagesTest, NoPassageGoesOverAPage) {
  std::string text;
  for (int page = 0; page < 5; ++page) text += std::string(static_cast<std::size_t>(page) * 700, 'x') + "\nend\f";
  expect_whole(text + "last", true);
  for (const Passage& passage : cut_into_passages(text, true)) EXPECT_EQ(passage.first, passage.last);
}

}  // namespace
}  // namespace fathom::chat
