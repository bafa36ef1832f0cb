// The start of a text that fits so many bytes, no character cut in two.
#pragma once

#include <string>
#include <string_view>

namespace fathom::chat {

inline std::string cut_utf8(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return std::string(text);
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  return std::string(text.substr(0, bytes));
}

}  // namespace fathom::chat
