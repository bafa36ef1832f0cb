// Python's string methods, on bytes with marks.
#include "tokens/jinja/text.h"

#include <utf8proc.h>

#include <algorithm>
#include <utility>

#include "tokens/unicode.h"
#include "tokens/utf8.h"

namespace fathom::tokens::jinja {
namespace {

// Appends a character that stands for the one at `at`, with that one's mark.
void append_character(Text& out, char32_t c, const Text& from, std::size_t at) {
  const std::size_t before = out.bytes.size();
  utf8::append(out.bytes, c);
  out.trust.append(out.bytes.size() - before, from.trust[at]);
}

char32_t to_upper(char32_t c) {
  return static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c)));
}
char32_t to_lower(char32_t c) {
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

// Applies change(character, previous character was a letter) to each character.
template <class Change>
Text change_characters(const Text& text, Change change) {
  Text out;
  out.bytes.reserve(text.size());
  out.trust.reserve(text.size());
  bool after_letter = false;
  for (std::size_t at = 0; at < text.size();) {
    const utf8::Unit unit = utf8::unit_at(text.bytes, at);
    if (unit.kind != utf8::Kind::kCharacter) {
      out.append_part(text, at, unit.size);
      after_letter = false;
    } else {
      append_character(out, change(unit.code, after_letter), text, at);
      after_letter = is_letter(unit.code);
    }
    at += unit.size;
  }
  return out;
}

bool in_set(std::string_view character, const std::string& set) {
  for (std::size_t at = 0; at < set.size();) {
    const utf8::Unit unit = utf8::unit_at(set, at);
    if (std::string_view(set).substr(at, unit.size) == character) return true;
    at += unit.size;
  }
  return false;
}

bool is_line_end(char32_t c) {
  return (c >= 0xA && c <= 0xD) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

struct Span {
  std::size_t begin, end;
};

// Runs of what is not white space.
std::vector<Span> words(std::string_view text) {
  std::vector<Span> out;
  bool open = false;
  for (std::size_t at = 0; at < text.size();) {
    const utf8::Unit unit = utf8::unit_at(text, at);
    if (unit.kind == utf8::Kind::kCharacter && is_python_space(unit.code)) {
      open = false;
    } else {
      if (!open) out.push_back({at, at});
      open = true;
      out.back().end = at + unit.size;
    }
    at += unit.size;
  }
  return out;
}

Text between(const Text& text, std::size_t begin, std::size_t end) {
  return text.part(begin, end - begin);
}

}  // namespace

std::size_t count_characters(std::string_view text) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size(); ++count) at += utf8::unit_at(text, at).size;
  return count;
}

std::vector<std::size_t> character_starts(std::string_view text) {
  std::vector<std::size_t> starts;
  for (std::size_t at = 0; at < text.size();) {
    starts.push_back(at);
    at += utf8::unit_at(text, at).size;
  }
  starts.push_back(text.size());
  return starts;
}

bool is_python_space(char32_t c) {
  return is_white_space(c) || (c >= 0x1C && c <= 0x1F);
}

Text strip(const Text& text, Side side, const std::string* characters) {
  const auto goes = [&](std::size_t at, std::size_t size) {
    if (characters != nullptr) return in_set(std::string_view(text.bytes).substr(at, size), *characters);
    const utf8::Unit unit = utf8::unit_at(text.bytes, at);
    return unit.kind == utf8::Kind::kCharacter && is_python_space(unit.code);
  };
  std::size_t begin = 0, end = text.size();
  while (side != Side::kRight && begin < end) {
    const std::size_t size = utf8::unit_at(text.bytes, begin).size;
    if (!goes(begin, size)) break;
    begin += size;
  }
  while (side != Side::kLeft && end > begin) {
    const std::size_t start = start_of_character_before(text.bytes, end);
    if (start < begin || !goes(start, end - start)) break;
    end = start;
  }
  return between(text, begin, end);
}

Text upper(const Text& text) {
  constexpr std::string_view sharp_s = "\u00DF";  // the one letter of ordinary texts whose upper case is two
  if (text.bytes.find(sharp_s) != std::string::npos) return upper(replace(text, sharp_s, Text("SS", false), -1));
  return change_characters(text, [](char32_t c, bool) { return to_upper(c); });
}

Text lower(const Text& text) {
  return change_characters(text, [](char32_t c, bool) { return to_lower(c); });
}

Text capitalize(const Text& text) {
  bool first = true;
  return change_characters(
      text, [&first](char32_t c, bool) { return std::exchange(first, false) ? to_upper(c) : to_lower(c); });
}

Text title(const Text& text) {
  return change_characters(text,
                           [](char32_t c, bool after_letter) { return after_letter ? to_lower(c) : to_upper(c); });
}

Text replace(const Text& text, std::string_view old, const Text& replacement, std::int64_t count) {
  Text out;
  std::size_t done = 0;
  if (old.empty()) {
    for (const std::size_t start : character_starts(text.bytes)) {
      if (count-- == 0) break;
      out.append_part(text, done, start - done);
      out.append(replacement);
      done = start;
    }
  } else {
    for (std::size_t at = text.bytes.find(old); at != std::string::npos && count-- != 0;
         at = text.bytes.find(old, done)) {
      out.append_part(text, done, at - done);
      out.append(replacement);
      done = at + old.size();
    }
  }
  out.append_part(text, done, text.size() - done);
  return out;
}

std::vector<Text> split(const Text& text, const std::string* separator, std::int64_t limit) {
  std::vector<Text> out;
  if (separator == nullptr) {
    const std::vector<Span> found = words(text.bytes);
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (limit >= 0 && static_cast<std::int64_t>(i) == limit) {
        out.push_back(strip(between(text, found[i].begin, text.size()), Side::kLeft));
        break;
      }
      out.push_back(between(text, found[i].begin, found[i].end));
    }
    return out;
  }
  std::size_t done = 0;
  while (limit < 0 || static_cast<std::int64_t>(out.size()) < limit) {
    const std::size_t at = text.bytes.find(*separator, done);
    if (at == std::string::npos) break;
    out.push_back(between(text, done, at));
    done = at + separator->size();
  }
  out.push_back(between(text, done, text.size()));
  return out;
}

std::vector<Text> split_from_right(const Text& text, const std::string* separator, std::int64_t limit) {
  std::vector<Text> out;
  if (limit < 0) return split(text, separator, limit);
  if (separator == nullptr) {
    const std::vector<Span> found = words(text.bytes);
    const std::size_t kept = std::min(found.size(), static_cast<std::size_t>(limit));
    const std::size_t first = found.size() - kept;
    if (first > 0) out.push_back(between(text, found[0].begin, found[first - 1].end));
    if (first > 0 && out.back().bytes.size() < found[first - 1].end) {
      // What is left keeps the white space before it, as Python does.
      out.back() = between(text, 0, found[first - 1].end);
    }
    for (std::size_t i = first; i < found.size(); ++i) out.push_back(between(text, found[i].begin, found[i].end));
    return out;
  }
  std::size_t end = text.size();
  while (static_cast<std::int64_t>(out.size()) < limit && end >= separator->size()) {
    const std::size_t at = text.bytes.rfind(*separator, end - separator->size());
    if (at == std::string::npos) break;
    out.push_back(between(text, at + separator->size(), end));
    end = at;
  }
  out.push_back(between(text, 0, end));
  std::ranges::reverse(out);
  return out;
}

std::vector<Text> split_lines(const Text& text) {
  std::vector<Text> out;
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    const utf8::Unit unit = utf8::unit_at(text.bytes, at);
    std::size_t next = at + unit.size;
    if (unit.kind == utf8::Kind::kCharacter && is_line_end(unit.code)) {
      out.push_back(between(text, done, at));
      if (unit.code == '\r' && next < text.size() && text.bytes[next] == '\n') ++next;
      done = next;
    }
    at = next;
  }
  if (done < text.size()) out.push_back(between(text, done, text.size()));
  return out;
}

}  // namespace fathom::tokens::jinja
