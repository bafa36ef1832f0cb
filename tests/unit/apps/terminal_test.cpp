// Wrapping, widths, rows that change in place, and the history of what was typed.
#include "apps/terminal.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <random>

#include "apps/terminal_history.h"
#include "apps/terminal_rows.h"
#include "screen.h"

namespace fathom::apps {
namespace {

using Rows = std::vector<std::string>;

Rows wrapped(std::string text, int columns, std::string first = "", std::string rest = "") {
  const Span span{std::move(text), kPlain};
  return wrap({&span, 1}, {columns, std::move(first), std::move(rest), false});
}

TEST(Wrap, BreaksAtSpacesAndDropsThem) {
  EXPECT_EQ(wrapped("one two three", 20), (Rows{"one two three"}));
  EXPECT_EQ(wrapped("one two three four five six", 20), (Rows{"one two three four", "five six"}));
  // A row that is exactly full: the space after it goes, and the next word does not take the last one along.
  EXPECT_EQ(wrapped("0123456789 012345678 next", 20), (Rows{"0123456789 012345678", "next"}));
  EXPECT_EQ(wrapped("a\n\nb", 20), (Rows{"a", "", "b"}));
  EXPECT_EQ(wrapped("    indented", 20), (Rows{"    indented"}));
}

TEST(Wrap, BreaksLongWordsWhereItMust) {
  EXPECT_EQ(wrapped(std::string(45, 'x'), 20), (Rows{std::string(20, 'x'), std::string(20, 'x'), "xxxxx"}));
}

TEST(Wrap, HangsUnderItsMarker) {
  EXPECT_EQ(wrapped("one two three four five", 20, "10. ", "    "), (Rows{"10. one two three", "    four five"}));
}

TEST(Wrap, CountsWideCharacters) {
  EXPECT_EQ(columns_of("한국어"), 6);
  EXPECT_EQ(columns_of("e\u0301"), 1);
  // Korean words stay whole; ideographs may be parted, but not from a stop that follows.
  EXPECT_EQ(wrapped("안녕하세요 반갑습니다", 20), (Rows{"안녕하세요", "반갑습니다"}));
  EXPECT_EQ(wrapped("一二三四五六七八九十。", 20), (Rows{"一二三四五六七八九", "十。"}));
}

TEST(Wrap, LaterTextChangesOnlyTheLastRow) {
  std::mt19937 random(7);
  const std::vector<std::string> pieces{"a", "word ", "longerword", " ", "\n", "한", "글 ", "漢", "字。", "\t"};
  for (int round = 0; round < 40; ++round) {
    std::string text;
    Rows before;
    for (int i = 0; i < 60; ++i) {
      text += pieces[random() % pieces.size()];
      const Rows now = wrapped(text, 20);
      ASSERT_GE(now.size() + 1, before.size());
      for (std::size_t r = 0; r + 1 < before.size(); ++r) ASSERT_EQ(now[r], before[r]) << text;
      for (const auto& row : now) ASSERT_LE(columns_of(row), 20) << text;
      before = now;
    }
  }
}

TEST(Printable, KeepsControlCharactersOut) {
  EXPECT_EQ(printable("a\033[31mb\ac\r\n\td\u009b5"), "a\uFFFD[31mb\uFFFDc\n\td\uFFFD5");
  EXPECT_EQ(printable("\xFF\xED\x95\x9C\xED\x95"), "\uFFFD한\uFFFD");
}

// Whatever is shown in whatever steps, the screen holds the done rows and below them the live ones.
TEST(LiveRows, TheScreenHoldsWhatWasShown) {
  std::mt19937 random(11);
  for (int round = 0; round < 60; ++round) {
    char* bytes = nullptr;
    std::size_t size = 0;
    std::FILE* out = open_memstream(&bytes, &size);
    LiveRows rows(out);
    Rows all;
    for (int step = 0; step < 12; ++step) {
      const auto some = [&](std::size_t most) {
        Rows r(random() % (most + 1));
        for (auto& row : r)
          row = std::string(random() % 3 + (random() % 2) * 10, static_cast<char>('a' + random() % 2));
        return r;
      };
      const Rows done = some(3);
      const Rows live = some(4);
      rows.show(done, live);
      all.insert(all.end(), done.begin(), done.end());
      Rows expected = all;
      expected.insert(expected.end(), live.begin(), live.end());
      while (!expected.empty() && expected.back().empty()) expected.pop_back();
      Screen screen(30, 10);
      std::fflush(out);
      screen.write({bytes, size});
      ASSERT_EQ(screen.text(), expected) << "round " << round << " step " << step;
    }
    std::fclose(out);
    std::free(bytes);
  }
}

TEST(LiveRows, AppendingWritesNothingButTheNewText) {
  char* bytes = nullptr;
  std::size_t size = 0;
  std::FILE* out = open_memstream(&bytes, &size);
  LiveRows rows(out);
  rows.show({}, {"The sky"});
  rows.show({}, {"The sky is"});
  rows.show({}, {"The sky is", "blue"});
  std::fflush(out);
  EXPECT_EQ(std::string(bytes, size), "The sky is\r\nblue");
  std::fclose(out);
  std::free(bytes);
}

TEST(History, KeepsLinesForTheirOwnerAlone) {
  std::string folder = testing::TempDir() + "history-XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/data/chat_history";
  append_history(path, "one");
  append_history(path, "two\nlines \\n");
  append_history(path, "한국어");
  EXPECT_EQ(read_history(path), (Rows{"one", "two\nlines \\n", "한국어"}));
  struct stat status{};
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  for (std::size_t i = 0; i < 2 * kHistoryLines; ++i) append_history(path, std::to_string(i));
  const Rows kept = read_history(path);
  EXPECT_EQ(kept.size(), kHistoryLines);
  EXPECT_EQ(kept.back(), std::to_string(2 * kHistoryLines - 1));
  EXPECT_EQ(read_history(path), kept);  // the shortened file
  EXPECT_TRUE(read_history(folder + "/none").empty());
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace fathom::apps
