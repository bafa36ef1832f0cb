// Markdown as rows, whole and as it streams.
#include "apps/markdown.h"

#include <gtest/gtest.h>

#include <random>

#include "apps/markdown_stream.h"
#include "apps/terminal.h"

namespace fathom::apps {
namespace {

using Rows = std::vector<std::string>;

constexpr MarkdownLook kPlainLook{.columns = 41, .styled = false};
constexpr MarkdownLook kStyledLook{.columns = 41, .styled = true};

Rows plain(std::string_view text) {
  return render_markdown(text, kPlainLook);
}

TEST(Markdown, BlocksAndLists) {
  EXPECT_EQ(plain("# Title\n\nSome text.\n"), (Rows{"# Title", "", "Some text."}));
  EXPECT_EQ(plain("- one\n- two\n  - three\n"), (Rows{"• one", "• two", "  • three"}));
  EXPECT_EQ(plain("3. one\n3. two\n"), (Rows{"3. one", "4. two"}));
  EXPECT_EQ(plain("1. one\n\n2. two\n"), (Rows{"1. one", "", "2. two"}));
  EXPECT_EQ(plain("- [x] done\n- [ ] open\n"), (Rows{"☑ done", "☐ open"}));
  EXPECT_EQ(plain("> quoted\n> text\n"), (Rows{"│ quoted", "│ text"}));
  EXPECT_EQ(plain("- a long item that has to go on in another row"),
            (Rows{"• a long item that has to go on in", "  another row"}));
}

TEST(Markdown, StylesWhereTheTerminalHasThem) {
  EXPECT_EQ(render_markdown("**bold** and `code`", kStyledLook),
            (Rows{"\033[0;1mbold\033[0m and \033[0;36mcode\033[0m"}));
  EXPECT_EQ(plain("**bold** and `code` *it*"), (Rows{"**bold** and `code` *it*"}));
  EXPECT_EQ(plain("[text](http://a.b) <http://c.d>"), (Rows{"text (http://a.b) http://c.d"}));
}

TEST(Markdown, CodeKeepsItsLines) {
  EXPECT_EQ(plain("```python\nif x:\n\treturn\n```\n"), (Rows{"```python", "if x:", "    return", "```"}));
  const Rows styled_rows = render_markdown("```c\nint x;\n```\n", kStyledLook);
  ASSERT_EQ(styled_rows.size(), 2u);
  EXPECT_EQ(styled_rows[1], "  \033[0;36mint x;\033[0m");
}

TEST(Markdown, Tables) {
  EXPECT_EQ(plain("| 이름 | n |\n| --- | ---: |\n| 가나다 | 1 |\n| b | 22 |\n"),
            (Rows{"이름   │  n", "───────┼───", "가나다 │  1", "b      │ 22"}));
  // Too wide for the terminal: row by row.
  EXPECT_EQ(plain("| a | b |\n| --- | --- |\n| " + std::string(30, 'x') + " | " + std::string(20, 'y') + " |\n"),
            (Rows{"a: " + std::string(30, 'x'), "b: " + std::string(20, 'y')}));
}

TEST(Markdown, FormulasStayAsTheyAre) {
  EXPECT_EQ(plain("\\(a_1 * b_2 * c\\) and \\[ \\{x\\} \\\\ y \\]."),
            (Rows{"\\(a_1 * b_2 * c\\) and \\[ \\{x\\} \\\\ y \\]."}));
  EXPECT_EQ(plain("$$\n- x\n= y\n$$"), (Rows{"$$", "- x", "= y", "$$"}));
  EXPECT_EQ(plain("`\\(x\\)`"), (Rows{"`\\(x\\)`"}));
  EXPECT_EQ(plain("```\n\\(x_1\\)\n```"), (Rows{"```", "\\(x_1\\)", "```"}));
  EXPECT_EQ(plain("a \\( that does not end, and *it*"), (Rows{"a ( that does not end, and *it*"}));
}

TEST(Markdown, NoControlCharacterReachesARow) {
  for (const char* text : {"a\033]0;title\007b", "&#27;[31mred", "`\033[2J`", "```\n\033[2J\n```",
                           "```&#27;[2J\nx\n```", "[x](http://a&#27;[2J)", "<b\033[2J>", "| a&#7; |\n| --- |\n| b |\n"})
    for (const std::string& row : plain(text)) EXPECT_EQ(row.find_first_of("\033\007"), std::string::npos) << text;
}

constexpr std::string_view kDocument =
    "Intro with **bold**,\nsecond line.\n\n## A heading\n- first\n- second with `code`\n  - nested\n\n  more of the "
    "second\n- third\n\n"
    "After the list.\n\n1. one\n1. two\n1. three\n\n```python\ndef f():\n\n    return 1\n```\n| a | b |\n|---|---|\n| "
    "1 | 2 |\n\n"
    "> a quote\n> of two lines\n\nA formula \\[\nx_1 + y_1 = *z*\n\\] here.\n\n* * *\n\nSetext\n---\n한국어 문장과 "
    "漢字가 있는 조금 긴 문단입니다. 끝.\n\n"
    "~~~\nunclosed ``` code\n\n  indented\n";

// However the text is cut, the rows that come out for good are those of the whole text.
TEST(MarkdownStream, GivesTheRowsOfTheWhole) {
  std::mt19937 random(3);
  for (const MarkdownLook look : {kPlainLook, kStyledLook}) {
    const Rows whole = render_markdown(kDocument, look);
    for (int round = 0; round < 12; ++round) {
      MarkdownStream stream(look);
      Rows rows;
      const auto take = [&] {
        for (std::string& row : stream.take_done()) rows.push_back(std::move(row));
      };
      for (std::size_t at = 0; at < kDocument.size();) {
        std::size_t n = 1 + random() % (round < 2 ? 1 : 40);
        while (at + n < kDocument.size() && (kDocument[at + n] & 0xC0) == 0x80) ++n;  // whole characters
        stream.push(kDocument.substr(at, n));
        at += std::min(n, kDocument.size() - at);
        take();
        for (const std::string& row : stream.live()) ASSERT_LT(columns_of(printable(row)), look.columns + 20);
      }
      stream.finish();
      take();
      ASSERT_EQ(rows, whole) << "round " << round;
      EXPECT_TRUE(stream.live().empty());
    }
  }
}

TEST(MarkdownStream, BlocksComeOutAsSoonAsTheyAreFinished) {
  MarkdownStream stream(kPlainLook);
  stream.push("Some **bold");
  EXPECT_TRUE(stream.take_done().empty());
  EXPECT_EQ(stream.live(), (Rows{"Some **bold"}));
  stream.push("** text.\n\n");
  EXPECT_EQ(stream.take_done(), (Rows{"Some **bold** text."}));
  EXPECT_TRUE(stream.live().empty());
  stream.push("```c\nint x;\nint");
  EXPECT_EQ(stream.take_done(), (Rows{"", "```c", "int x;"}));
  EXPECT_EQ(stream.live(), (Rows{"int"}));
  stream.push(" y;\n```\n- one\n- tw");
  EXPECT_EQ(stream.take_done(), (Rows{"int y;", "```"}));
  EXPECT_EQ(stream.live(), (Rows{"", "- one", "- tw"}));
  stream.push("o\n");
  EXPECT_EQ(stream.take_done(), (Rows{"", "• one"}));
  EXPECT_EQ(stream.live(), (Rows{"- two"}));
}

// A block too tall for the screen stays as it was shown: the rows that come out are the rows that were live.
TEST(MarkdownStream, KeepsABlockPlain) {
  MarkdownStream stream(kPlainLook);
  stream.push("Before.\n\n**One** of\nmany");
  stream.take_done();
  const Rows shown = stream.live();
  stream.keep_plain();
  stream.push(" lines\n\nNext *one*\n\n");
  const Rows done = stream.take_done();
  EXPECT_EQ(done, (Rows{"", "**One** of", "many lines", "", "Next *one*"}));
  EXPECT_EQ((Rows(done.begin(), done.begin() + 2)), (Rows(shown.begin(), shown.begin() + 2)));
}

}  // namespace
}  // namespace fathom::apps
