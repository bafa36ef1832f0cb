#include "chat/passages.h"

#include <algorithm>

namespace fathom::chat {

namespace {

bool within_character(std::string_view text, std::size_t at) {
  return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80;
}

// Where a line that is longer than a passage is cut: behind the last blank of its second half, else at a character.
std::size_t cut_within(std::string_view text, std::size_t from) {
  std::size_t end = from + kPassageBytes;
  const std::size_t blank = text.substr(from, kPassageBytes).find_last_of(" \t");
  if (blank != text.npos && blank > kPassageBytes / 2) return from + blank + 1;
  while (within_character(text, end)) --end;
  return end;
}

// A line with its end, or as much of it as a passage holds.
std::size_t end_of_piece(std::string_view text, std::size_t from, bool pages) {
  const std::size_t line = text.find_first_of(pages ? "\n\f" : "\n", from);
  const std::size_t end = line == text.npos ? text.size() : line + 1;
  return end - from <= kPassageBytes ? end : cut_within(text, from);
}

}  // namespace

std::vector<Passage> cut_into_passages(std::string_view text, bool pages) {
  std::vector<Passage> passages;
  Passage open;
  const auto close = [&] {
    if (open.to > open.from) passages.push_back(open);
    open.from = open.to;
  };
  std::int64_t place = 1;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = end_of_piece(text, at, pages);
    if (end - open.from > kPassageBytes) close();
    if (open.from == open.to) open.first = place;
    open.to = end;
    open.last = place;
    const char last = text[end - 1];
    const bool empty_line = end - at == 1 && last == '\n';
    if ((pages && last == '\f') || (empty_line && open.to - open.from > kPassageBytes / 2)) close();
    if (last == (pages ? '\f' : '\n')) ++place;
    at = end;
  }
  close();
  return passages;
}

}  // namespace fathom::chat
