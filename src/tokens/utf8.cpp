// Decoding follows the table of well-formed byte sequences in the Unicode standard (3.9, table 3-7).
#include "tokens/utf8.h"

#include <cstdint>

namespace fathom::tokens::utf8 {
namespace {

struct Lead {
  std::size_t size = 0;                  // 0: no character starts with this byte
  std::uint8_t low = 0x80, high = 0xBF;  // what the second byte may be
};

Lead lead_of(std::uint8_t b) {
  if (b < 0x80) return {1};
  if (b < 0xC2) return {0};
  if (b < 0xE0) return {2};
  if (b == 0xE0) return {3, 0xA0, 0xBF};
  if (b == 0xED) return {3, 0x80, 0x9F};
  if (b < 0xF0) return {3};
  if (b == 0xF0) return {4, 0x90, 0xBF};
  if (b < 0xF4) return {4};
  if (b == 0xF4) return {4, 0x80, 0x8F};
  return {0};
}

}  // namespace

Unit unit_at(std::string_view text, std::size_t at) {
  const auto first = static_cast<std::uint8_t>(text[at]);
  if (first < 0x80) return {Kind::kCharacter, 1, first};
  const Lead lead = lead_of(first);
  if (lead.size == 0) return {};
  char32_t code = first & (0x7Fu >> lead.size);
  for (std::size_t i = 1; i < lead.size; ++i) {
    if (at + i == text.size()) return {Kind::kUnfinished, i};
    const auto b = static_cast<std::uint8_t>(text[at + i]);
    const std::uint8_t low = i == 1 ? lead.low : 0x80;
    const std::uint8_t high = i == 1 ? lead.high : 0xBF;
    if (b < low || b > high) return {Kind::kBroken, i};
    code = (code << 6) | (b & 0x3Fu);
  }
  return {Kind::kCharacter, lead.size, code};
}

std::size_t valid_prefix(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const Unit unit = unit_at(text, at);
    if (unit.kind != Kind::kCharacter) break;
    at += unit.size;
  }
  return at;
}

void append(std::string& out, char32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (code >> 18));
    out += static_cast<char>(0x80 | ((code >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

std::size_t append_lossy(std::string& out, std::string_view text, bool more) {
  std::size_t at = 0;
  while (at < text.size()) {
    const Unit unit = unit_at(text, at);
    if (unit.kind == Kind::kUnfinished && more) break;
    if (unit.kind == Kind::kCharacter) {
      out.append(text.substr(at, unit.size));
    } else {
      out += "\xEF\xBF\xBD";
    }
    at += unit.size;
  }
  return at;
}

}  // namespace fathom::tokens::utf8
