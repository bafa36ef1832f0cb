// Bytes 33-126, 161-172 and 174-255 are their own code points; the other 68 follow, in order, from U+0100.
#include "tokens/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "tokens/utf8.h"

namespace fathom::tokens {
namespace {

constexpr int kFirstMoved = 0x100;
constexpr int kMovedBytes = 68;
constexpr int kAlphabetEnd = kFirstMoved + kMovedBytes;

struct Alphabet {
  std::array<std::uint16_t, 256> character{};     // of a byte
  std::array<std::int16_t, kAlphabetEnd> byte{};  // of a character, -1: none
};

constexpr Alphabet make_alphabet() {
  Alphabet a;
  a.byte.fill(-1);
  int moved = kFirstMoved;
  for (int b = 0; b < 256; ++b) {
    const bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
    const int c = printable ? b : moved++;
    a.character[static_cast<std::size_t>(b)] = static_cast<std::uint16_t>(c);
    a.byte[static_cast<std::size_t>(c)] = static_cast<std::int16_t>(b);
  }
  return a;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

std::optional<std::string> bytes_from_alphabet(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const utf8::Unit unit = utf8::unit_at(text, at);
    if (unit.kind != utf8::Kind::kCharacter || unit.code >= kAlphabetEnd) return std::nullopt;
    const std::int16_t b = kAlphabet.byte[unit.code];
    if (b < 0) return std::nullopt;
    bytes += static_cast<char>(b);
    at += unit.size;
  }
  return bytes;
}

std::string bytes_to_alphabet(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char c : bytes) utf8::append(text, kAlphabet.character[static_cast<std::uint8_t>(c)]);
  return text;
}

}  // namespace fathom::tokens
