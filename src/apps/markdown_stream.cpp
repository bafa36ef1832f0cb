#include "apps/markdown_stream.h"

#include <algorithm>
#include <utility>

#include "apps/terminal.h"

namespace fathom::apps {
namespace {

bool is(cmark_node* node, std::string_view type) {
  return type == cmark_node_get_type_string(node);
}

int count_children(cmark_node* node) {
  int n = 0;
  for (cmark_node* c = cmark_node_first_child(node); c != nullptr; c = cmark_node_next(c)) ++n;
  return n;
}

bool is_fenced_code(cmark_node* node) {
  int length = 0, offset = 0;
  char mark = 0;
  return is(node, "code_block") && cmark_node_get_fenced(node, &length, &offset, &mark);
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\n") == std::string_view::npos;
}

bool ends_with_blank_line(std::string_view text) {
  const std::size_t end = text.find_last_not_of(" \t\n");
  return end == std::string_view::npos || std::ranges::count(text.substr(end), '\n') >= 2;
}

std::string_view without_last_newlines(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  return text;
}

// Bytes of the first `lines` lines.
std::size_t bytes_of_lines(std::string_view text, int lines) {
  std::size_t at = 0;
  for (int i = 0; i < lines && at < text.size(); ++i) at = std::min(text.find('\n', at), text.size() - 1) + 1;
  return at;
}

}  // namespace

void MarkdownStream::push(std::string_view text) {
  pending_ += printable(text);
  if (text.contains('\n')) advance(false);
}

void MarkdownStream::finish() {
  advance(true);
}

MarkdownRows MarkdownStream::take_done() {
  return std::exchange(done_, {});
}

MarkdownRows MarkdownStream::live() const {
  if (code_lines_ >= 0) {
    const std::string_view line = std::string_view(pending_).substr(pending_.rfind('\n') + 1);
    if (line.empty()) return {};
    const std::string indent(look_.styled ? kCodeIndent : "");
    const Span span{std::string(line), look_.styled ? kCode : kPlain};
    return wrap({&span, 1}, {look_.columns - 1, indent, indent, look_.styled});
  }
  if (is_blank(pending_)) return {};
  MarkdownRows rows;
  if (gap()) rows.emplace_back();
  for (std::string& row : plain_rows(pending_)) rows.push_back(std::move(row));
  return rows;
}

// Takes finished blocks off the pending text until none is left in it.
void MarkdownStream::advance(bool all) {
  for (;;) {
    const std::size_t first = pending_.find_first_not_of(" \t\n");
    if (first == std::string::npos) return;
    // Blank lines before a block are none of it; the spaces of its own line are.
    if (const std::size_t newline = pending_.rfind('\n', first); newline != std::string::npos)
      pending_.erase(0, newline + 1);
    std::string_view text = pending_;
    if (!all) text = text.substr(0, text.rfind('\n') + 1);
    if (text.empty()) return;
    const MarkdownDocument document = parse_markdown(text);
    if (!all && stream_code(document.get(), text)) return;
    const Finished part = finished(document.get(), text, all);
    if (part.lines == 0) return;
    const std::size_t bytes = bytes_of_lines(text, part.lines);
    take(document.get(), part, text.substr(0, bytes));
    pending_.erase(0, bytes);
  }
}

MarkdownStream::Finished MarkdownStream::finished(cmark_node* document, std::string_view text, bool all) {
  const int blocks = count_children(document);
  const int lines = static_cast<int>(std::ranges::count(text, '\n')) + (text.ends_with('\n') ? 0 : 1);
  if (all) return {.blocks = blocks, .lines = lines};
  if (blocks == 0) return {};
  cmark_node* last = cmark_node_last_child(document);
  if (blocks > 1) return {.blocks = blocks - 1, .lines = cmark_node_get_start_line(last) - 1};
  if (is(last, "list")) {
    const int items = count_children(last);
    if (items < 2) return {};
    return {.items = items - 1, .lines = cmark_node_get_start_line(cmark_node_last_child(last)) - 1};
  }
  const bool closed = is(last, "heading") || is(last, "thematic_break") || is_fenced_code(last);
  const bool ended =
      (is(last, "paragraph") || is(last, "table") || is(last, "block_quote")) && ends_with_blank_line(text);
  return closed || ended ? Finished{.blocks = 1, .lines = lines} : Finished{};
}

// Whether the text is one block of fenced code that is still open: its lines come out one by one.
bool MarkdownStream::stream_code(cmark_node* document, std::string_view text) {
  cmark_node* block = cmark_node_first_child(document);
  if (block == nullptr || cmark_node_next(block) != nullptr || !is_fenced_code(block)) return false;
  const auto content = std::ranges::count(std::string_view(cmark_node_get_literal(block)), '\n');
  if (std::ranges::count(text, '\n') != content + 1) return false;
  take_code_lines(block);
  return true;
}

void MarkdownStream::take_code_lines(cmark_node* block) {
  if (code_lines_ < 0) {
    if (gap()) done_.emplace_back();
    add(code_opening(cmark_node_get_fence_info(block), look_));
    code_lines_ = 0;
  }
  std::string_view content = cmark_node_get_literal(block);
  for (int line = 0; !content.empty(); ++line) {
    const std::size_t end = std::min(content.find('\n'), content.size());
    if (line == code_lines_) {
      add({code_row(content.substr(0, end), look_)});
      ++code_lines_;
    }
    content.remove_prefix(std::min(end + 1, content.size()));
  }
}

void MarkdownStream::take(cmark_node* document, const Finished& part, std::string_view source) {
  cmark_node* block = cmark_node_first_child(document);
  if (block == nullptr || (std::exchange(plain_, false) && code_lines_ < 0)) {
    if (gap()) done_.emplace_back();
    add(plain_rows(source));
    if (part.items == 0)
      list_number_ = -1;
    else
      list_number_ = (list_number_ < 0 ? cmark_node_get_list_start(block) : list_number_) + part.items;
    return;
  }
  if (part.items > 0) return take_list(block, part.items, false);
  for (int i = 0; i < part.blocks; ++i, block = cmark_node_next(block)) {
    if (is(block, "list")) {
      take_list(block, count_children(block), true);
    } else if (is_fenced_code(block)) {
      take_code_lines(block);
      add(code_closing(look_));
      code_lines_ = -1;
    } else {
      if (gap()) done_.emplace_back();
      add(render_block(block, look_));
    }
  }
}

void MarkdownStream::take_list(cmark_node* list, int items, bool ends) {
  const bool loose = !cmark_node_get_list_tight(list);
  if (list_number_ < 0) {
    if (gap()) done_.emplace_back();
    list_number_ = cmark_node_get_list_start(list);
    list_loose_ = loose;
  } else if (list_loose_ = list_loose_ || loose; list_loose_) {
    done_.emplace_back();
  }
  cmark_node* item = cmark_node_first_child(list);
  for (int i = 0; i < items; ++i, item = cmark_node_next(item)) {
    if (i > 0 && list_loose_) done_.emplace_back();
    add(render_item(item, list_number_++, look_));
  }
  if (!ends) return;
  list_number_ = -1;
  list_loose_ = false;
}

// Whether an empty row belongs before what pending_ begins with.
bool MarkdownStream::gap() const {
  return begun_ && (list_number_ < 0 || list_loose_);
}

void MarkdownStream::add(MarkdownRows rows) {
  begun_ = true;
  for (std::string& row : rows) done_.push_back(std::move(row));
}

MarkdownRows MarkdownStream::plain_rows(std::string_view text) const {
  const Span span{std::string(without_last_newlines(text)), kPlain};
  return wrap({&span, 1}, {look_.columns - 1, "", "", look_.styled});
}

}  // namespace fathom::apps
