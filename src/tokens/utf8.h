// UTF-8 by hand: which bytes are whole characters, which can never become one, which may still. Nothing is normalised
// here.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace fathom::tokens::utf8 {

enum class Kind {
  kCharacter,   // a whole code point
  kBroken,      // bytes that no continuation can make valid: the longest start of a character, or one byte
  kUnfinished,  // the text ends inside a character
};

struct Unit {
  Kind kind = Kind::kBroken;
  std::size_t size = 1;    // bytes
  char32_t code = 0xFFFD;  // of a whole character
};

// What stands at text[at]; at < text.size().
Unit unit_at(std::string_view text, std::size_t at);

// Bytes from the start that are whole characters.
std::size_t valid_prefix(std::string_view text);

void append(std::string& out, char32_t code);

// Appends the text with each broken stretch as U+FFFD and returns how many bytes were used: all of them, or all but an
// unfinished character at the end when `more` may follow.
std::size_t append_lossy(std::string& out, std::string_view text, bool more);

}  // namespace fathom::tokens::utf8
