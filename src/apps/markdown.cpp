#include "apps/markdown.h"

#include <cmark-gfm-core-extensions.h>
#include <cmark-gfm-extension_api.h>
#include <fmt/format.h>

#include <algorithm>

#include "apps/terminal.h"

namespace fathom::apps {
namespace {

constexpr int kRuleColumns = 40;

struct Prefix {
  std::string first, rest;
  Prefix then(const std::string& a, const std::string& b) const { return {first + a, rest + b}; }
  Prefix following() const { return {rest, rest}; }
};

std::string_view type_of(cmark_node* node) {
  return cmark_node_get_type_string(node);
}

std::string literal(cmark_node* node) {
  const char* text = cmark_node_get_literal(node);
  return text == nullptr ? std::string() : printable(text);
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

// The inlines of a block as spans.
class Inlines {
 public:
  Inlines(const MarkdownLook& look, unsigned style) : look_(look), style_(style) {}

  std::vector<Span> of(cmark_node* block) {
    children(block);
    return std::move(spans_);
  }

 private:
  void children(cmark_node* node) {
    for (cmark_node* n = cmark_node_first_child(node); n != nullptr; n = cmark_node_next(n)) inline_node(n);
  }

  void inline_node(cmark_node* node) {
    const std::string_view type = type_of(node);
    if (type == "text") return add(literal(node));
    if (type == "softbreak" || type == "linebreak") return add("\n");
    if (type == "code") return marked(kCode, "`", [&] { add(literal(node)); });
    if (type == "emph") return marked(kItalic, "*", [&] { children(node); });
    if (type == "strong") return marked(kBold, "**", [&] { children(node); });
    if (type == "strikethrough") return marked(kStruck, "~~", [&] { children(node); });
    if (type == "link" || type == "image") return link(node);
    if (type == "html_inline") {
      const std::string html = literal(node);
      return add(html.starts_with("<br") ? "\n" : html);
    }
    children(node);
  }

  // What `content` adds, in a style, or between signs where there are no styles.
  void marked(unsigned style, const char* sign, auto&& content) {
    const unsigned before = style_;
    if (!look_.styled) add(sign);
    style_ |= style;
    content();
    style_ = before;
    if (!look_.styled) add(sign);
  }

  void link(cmark_node* node) {
    const std::size_t first = spans_.size();
    const unsigned before = style_;
    style_ |= kUnderline;
    children(node);
    style_ = before;
    std::string shown;
    for (std::size_t i = first; i < spans_.size(); ++i) shown += spans_[i].text;
    const std::string url = printable(cmark_node_get_url(node));
    if (!url.empty() && url != shown && url != "mailto:" + shown) {
      style_ |= kDim;
      add(shown.empty() ? url : fmt::format(" ({})", url));
      style_ = before;
    }
  }

  void add(std::string text) { spans_.push_back({std::move(text), style_}); }

  const MarkdownLook& look_;
  unsigned style_;
  std::vector<Span> spans_;
};

// Blocks as rows, each block below the last.
class Blocks {
 public:
  explicit Blocks(const MarkdownLook& look) : look_(look) {}

  MarkdownRows rows;

  void block(cmark_node* node, const Prefix& prefix) {
    const std::string_view type = type_of(node);
    if (type == "paragraph") return paragraph(Inlines(look_, kPlain).of(node), prefix);
    if (type == "heading") return heading(node, prefix);
    if (type == "code_block") return code(node, prefix);
    if (type == "list") return list(node, prefix);
    if (type == "block_quote") return children(node, prefix.then("│ ", "│ "), false);
    if (type == "thematic_break") {
      std::string rule;
      for (int i = 0; i < std::min(kRuleColumns, look_.columns - 1); ++i) rule += "─";
      rows.push_back(prefix.first + styled(rule, kDim, look_.styled));
      return;
    }
    if (type == "html_block") return paragraph({{trimmed(literal(node)), kPlain}}, prefix);
    if (type == "table") return table(node, prefix);
    children(node, prefix, false);
  }

  void item(cmark_node* node, const std::string& marker, bool tight, const Prefix& prefix) {
    std::string sign = marker;
    if (type_of(node) == "tasklist") sign = cmark_gfm_extensions_get_tasklist_item_checked(node) ? "☑ " : "☐ ";
    const Prefix inner = prefix.then(sign, std::string(static_cast<std::size_t>(columns_of(sign)), ' '));
    if (cmark_node_first_child(node) == nullptr) {
      rows.push_back(inner.first);
    } else {
      children(node, inner, tight);
    }
  }

  static std::string marker(cmark_node* list, int number) {
    if (cmark_node_get_list_type(list) == CMARK_BULLET_LIST) return "• ";
    return fmt::format("{}{} ", number, cmark_node_get_list_delim(list) == CMARK_PAREN_DELIM ? ')' : '.');
  }

 private:
  static std::string trimmed(std::string text) {
    while (text.ends_with('\n')) text.pop_back();
    return text;
  }

  Wrapping wrapping(const Prefix& prefix) const { return {look_.columns - 1, prefix.first, prefix.rest, look_.styled}; }

  void paragraph(const std::vector<Span>& spans, const Prefix& prefix) {
    for (std::string& row : wrap(spans, wrapping(prefix))) rows.push_back(std::move(row));
  }

  void children(cmark_node* node, const Prefix& prefix, bool tight) {
    Prefix here = prefix;
    for (cmark_node* n = cmark_node_first_child(node); n != nullptr; n = cmark_node_next(n)) {
      if (n != cmark_node_first_child(node) && !tight) rows.push_back(here.rest);
      block(n, here);
      here = here.following();
    }
  }

  void heading(cmark_node* node, const Prefix& prefix) {
    const int level = cmark_node_get_heading_level(node);
    std::vector<Span> spans = Inlines(look_, level == 1 ? kBold | kUnderline : kBold).of(node);
    if (!look_.styled) spans.insert(spans.begin(), {std::string(static_cast<std::size_t>(level), '#') + " ", kPlain});
    paragraph(spans, prefix);
  }

  void code(cmark_node* node, const Prefix& prefix) {
    Prefix here = prefix;
    const auto add = [&](const std::string& row) {
      rows.push_back(here.first + row);
      here = here.following();
    };
    for (const std::string& row : code_opening(cmark_node_get_fence_info(node), look_)) add(row);
    for (const std::string& line : lines_of(literal(node))) add(code_row(line, look_));
    for (const std::string& row : code_closing(look_)) add(row);
  }

  void list(cmark_node* node, const Prefix& prefix) {
    const bool tight = cmark_node_get_list_tight(node);
    int number = cmark_node_get_list_start(node);
    Prefix here = prefix;
    for (cmark_node* n = cmark_node_first_child(node); n != nullptr; n = cmark_node_next(n)) {
      if (n != cmark_node_first_child(node) && !tight) rows.push_back(here.rest);
      item(n, marker(node, number++), tight, here);
      here = here.following();
    }
  }

  // A table as columns where it fits, else each of its rows as "heading: cell".
  void table(cmark_node* node, const Prefix& prefix) {
    std::vector<std::vector<std::vector<Span>>> cells;
    std::vector<int> widths;
    for (cmark_node* r = cmark_node_first_child(node); r != nullptr; r = cmark_node_next(r)) {
      auto& row = cells.emplace_back();
      for (cmark_node* c = cmark_node_first_child(r); c != nullptr; c = cmark_node_next(c)) {
        row.push_back(Inlines(look_, cells.size() == 1 ? kBold : kPlain).of(c));
        if (widths.size() < row.size()) widths.push_back(0);
        widths[row.size() - 1] = std::max(widths[row.size() - 1], width(row.back()));
      }
    }
    int total = columns_of(prefix.rest) - 3;
    for (const int w : widths) total += w + 3;
    const std::uint8_t* alignments = cmark_gfm_extensions_get_table_alignments(node);
    if (total < look_.columns) {
      columns(cells, widths, alignments, prefix);
    } else {
      records(cells, prefix);
    }
  }

  static int width(const std::vector<Span>& spans) {
    int sum = 0;
    for (const Span& s : spans) sum += columns_of(s.text);
    return sum;
  }

  void columns(const std::vector<std::vector<std::vector<Span>>>& cells, const std::vector<int>& widths,
               const std::uint8_t* alignments, Prefix prefix) {
    for (const auto& row : cells) {
      std::string out = prefix.first;
      for (std::size_t i = 0; i < row.size(); ++i) {
        const int room = widths[i] - width(row[i]);
        const int left = alignments[i] == 'r' ? room : alignments[i] == 'c' ? room / 2 : 0;
        out += (i == 0 ? "" : " │ ") + std::string(static_cast<std::size_t>(left), ' ');
        for (const Span& s : row[i]) out += styled(s.text, s.style, look_.styled);
        if (i + 1 < row.size()) out += std::string(static_cast<std::size_t>(room - left), ' ');
      }
      rows.push_back(std::move(out));
      if (&row == &cells.front()) rows.push_back(rule(widths, prefix.rest));
      prefix = prefix.following();
    }
  }

  static std::string rule(const std::vector<int>& widths, const std::string& prefix) {
    std::string out = prefix;
    for (std::size_t i = 0; i < widths.size(); ++i) {
      if (i > 0) out += "─┼─";
      for (int k = 0; k < widths[i]; ++k) out += "─";
    }
    return out;
  }

  void records(const std::vector<std::vector<std::vector<Span>>>& cells, Prefix prefix) {
    for (std::size_t r = 1; r < cells.size(); ++r) {
      if (r > 1) rows.push_back(prefix.rest);
      for (std::size_t i = 0; i < cells[r].size(); ++i) {
        std::vector<Span> spans = i < cells[0].size() ? cells[0][i] : std::vector<Span>();
        spans.push_back({": ", kPlain});
        spans.insert(spans.end(), cells[r][i].begin(), cells[r][i].end());
        paragraph(spans, {prefix.first, prefix.rest + "  "});
        prefix = prefix.following();
      }
    }
  }

  const MarkdownLook& look_;
};

}  // namespace

MarkdownDocument parse_markdown(std::string_view text) {
  cmark_gfm_core_extensions_ensure_registered();
  cmark_parser* parser = cmark_parser_new(CMARK_OPT_DEFAULT);
  for (const char* name : {"table", "strikethrough", "tasklist", "autolink"})
    if (cmark_syntax_extension* extension = cmark_find_syntax_extension(name))
      cmark_parser_attach_syntax_extension(parser, extension);
  const std::string safe = protect_formulas(printable(text));
  cmark_parser_feed(parser, safe.data(), safe.size());
  MarkdownDocument document(cmark_parser_finish(parser));
  cmark_parser_free(parser);
  return document;
}

MarkdownRows render_block(cmark_node* block, const MarkdownLook& look) {
  Blocks blocks(look);
  blocks.block(block, {});
  return std::move(blocks.rows);
}

MarkdownRows render_item(cmark_node* item, int number, const MarkdownLook& look) {
  Blocks blocks(look);
  cmark_node* list = cmark_node_parent(item);
  blocks.item(item, Blocks::marker(list, number), cmark_node_get_list_tight(list), {});
  return std::move(blocks.rows);
}

MarkdownRows render_markdown(std::string_view text, const MarkdownLook& look) {
  const MarkdownDocument document = parse_markdown(text);
  MarkdownRows rows;
  for (cmark_node* n = cmark_node_first_child(document.get()); n != nullptr; n = cmark_node_next(n)) {
    if (!rows.empty()) rows.emplace_back();
    for (std::string& row : render_block(n, look)) rows.push_back(std::move(row));
  }
  return rows;
}

MarkdownRows code_opening(std::string_view language, const MarkdownLook& look) {
  const std::string shown = printable(language);
  if (!look.styled) return {"```" + shown};
  if (shown.empty()) return {};
  return {std::string(kCodeIndent) + styled(shown, kDim, true)};
}

std::string code_row(std::string_view line, const MarkdownLook& look) {
  std::string spaced;
  for (const char c : line) spaced += c == '\t' ? "    " : std::string(1, c);
  return look.styled ? std::string(kCodeIndent) + styled(spaced, kCode, true) : spaced;
}

MarkdownRows code_closing(const MarkdownLook& look) {
  return look.styled ? MarkdownRows() : MarkdownRows{"```"};
}

}  // namespace fathom::apps
