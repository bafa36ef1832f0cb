// Formulas in Markdown. Models write \( \), \[ \] and $$ around TeX, which Markdown would take apart: backslashes would
// go, underscores become italics.
#include "apps/markdown.h"

namespace fathom::apps {
namespace {

bool is_sign(char c) {
  return std::string_view("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~").contains(c);
}

std::size_t run_of(std::string_view text, std::size_t at, char c) {
  std::size_t n = 0;
  while (at + n < text.size() && text[at + n] == c) ++n;
  return n;
}

// Where the code that opens at `at` with a run of backticks or tildes ends; npos: nowhere.
std::size_t end_of_code(std::string_view text, std::size_t at) {
  const char mark = text[at];
  const std::size_t opening = run_of(text, at, mark);
  for (std::size_t i = at + opening; i < text.size();) {
    if (text[i] != mark) {
      ++i;
      continue;
    }
    const std::size_t closing = run_of(text, i, mark);
    if (closing == opening || (opening >= 3 && closing > opening)) return i + closing;
    i += closing;
  }
  return std::string_view::npos;
}

bool begins_line(std::string_view text, std::size_t at) {
  while (at > 0 && text[at - 1] == ' ') --at;
  return at == 0 || text[at - 1] == '\n';
}

}  // namespace

std::string protect_formulas(std::string_view text) {
  constexpr std::pair<std::string_view, std::string_view> kMarks[] = {{"\\(", "\\)"}, {"\\[", "\\]"}, {"$$", "$$"}};
  std::string out;
  const auto formula_end = [&](std::size_t at) {
    for (const auto& [begin, end] : kMarks)
      if (text.substr(at).starts_with(begin)) {
        const std::size_t found = text.find(end, at + begin.size());
        // A formula does not go beyond its paragraph.
        return found < text.find("\n\n", at) ? found + end.size() : std::string_view::npos;
      }
    return std::string_view::npos;
  };
  for (std::size_t at = 0; at < text.size();) {
    const bool fence = text[at] == '~' && run_of(text, at, '~') >= 3 && begins_line(text, at);
    if (text[at] == '`' || fence) {
      const bool block = fence || (run_of(text, at, '`') >= 3 && begins_line(text, at));
      std::size_t end = end_of_code(text, at);
      // Code that is still open: a block goes to the end, backticks alone are just signs.
      if (end == std::string_view::npos) end = block ? text.size() : at + run_of(text, at, text[at]);
      out += text.substr(at, end - at);
      at = end;
      continue;
    }
    const std::size_t end = formula_end(at);
    if (end == std::string_view::npos) {
      const std::size_t n = text[at] == '\\' && at + 1 < text.size() ? 2 : 1;
      out += text.substr(at, n);
      at += n;
      continue;
    }
    for (; at < end; ++at) {
      if (is_sign(text[at])) out += '\\';
      out += text[at];
    }
  }
  return out;
}

}  // namespace fathom::apps
