// What a terminal can show and how wide text is on it: locale, size, styles. Text of a model or a file goes through
// `printable` before it meets a terminal, so that it cannot carry escape codes of its own. Nothing here knows Markdown.
#pragma once

#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fathom::apps {

// Makes the C library's characters UTF-8 whatever LANG says: libedit asks it for widths.
void use_utf8_locale();

struct Terminal {
  bool live = false;    // rows can be rewritten
  bool styled = false;  // bold, dim and colour; NO_COLOR turns them off
  int columns = 80;
  int rows = 24;

  // What `out` is and how large; a file or pipe is neither live nor styled.
  static Terminal of(std::FILE* out);
  void measure(std::FILE* out);
};

enum Style : unsigned { kPlain = 0, kBold = 1, kDim = 2, kItalic = 4, kUnderline = 8, kStruck = 16, kCode = 32 };

// The text with its style's escape codes around it, where the terminal takes them.
std::string styled(std::string_view text, unsigned style, bool enabled);

// Without control characters (tab and newline stay) and with broken UTF-8 as U+FFFD.
std::string printable(std::string_view text);

int columns_of(std::string_view text);  // of printable text without escape codes

struct Span {
  std::string text;  // a newline in it starts a row
  unsigned style = kPlain;
};

struct Wrapping {
  int columns = 80;
  std::string first, rest;  // what stands before the first row and before the others
  bool styled = false;
};

// Rows of at most `columns`, broken at spaces and beside wide characters; a longer word is broken where it must. Text
// that is appended later changes no row but the last.
std::vector<std::string> wrap(std::span<const Span> spans, const Wrapping& wrapping);

}  // namespace fathom::apps
