// Markdown as rows of a terminal: bold and italics by style, lists, quotes and tables laid out, code apart. The text is
// a model's and not trusted: no control character of it reaches a row. Parsing is cmark-gfm's.
#pragma once

#include <cmark-gfm.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace fathom::apps {

struct MarkdownLook {
  int columns = 80;
  bool styled = false;  // without styles, the signs of Markdown that they replace stay
};

struct NodeDeleter {
  void operator()(cmark_node* node) const { cmark_node_free(node); }
};
using MarkdownDocument = std::unique_ptr<cmark_node, NodeDeleter>;

// GitHub's Markdown; formulas between \( \), \[ \] and $$ are kept as they are written.
MarkdownDocument parse_markdown(std::string_view text);

using MarkdownRows = std::vector<std::string>;

// One block. Rows of code may be longer than the terminal is wide.
MarkdownRows render_block(cmark_node* block, const MarkdownLook& look);
// One item of a list, as number `number` of it.
MarkdownRows render_item(cmark_node* item, int number, const MarkdownLook& look);
// All blocks of a text.
MarkdownRows render_markdown(std::string_view text, const MarkdownLook& look);

// The parts of a block of code, for one that is still being written.
MarkdownRows code_opening(std::string_view language, const MarkdownLook& look);
std::string code_row(std::string_view line, const MarkdownLook& look);
MarkdownRows code_closing(const MarkdownLook& look);
inline constexpr std::string_view kCodeIndent = "  ";

// Puts a backslash before every sign within formulas, so that Markdown leaves them be. Lines stay lines.
std::string protect_formulas(std::string_view text);

}  // namespace fathom::apps
