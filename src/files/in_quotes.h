// Text from outside as it may stand in a message: short, on one line, without bytes that a terminal would act on.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace fathom::files {

inline std::string in_quotes(std::string_view text, std::size_t longest = 96) {
  std::string out = "'";
  for (const char c : text.substr(0, longest)) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte >= 0x20 && byte < 0x7f ? c : '?';
  }
  if (text.size() > longest) out += "...";
  return out + "'";
}

}  // namespace fathom::files
