#include "tokens/jinja/machine.h"

#include "tokens/utf8.h"

namespace fathom::tokens::jinja {

std::string one_line(std::string_view text) {
  constexpr std::size_t kLongest = 1000;  // bytes
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    if (out.size() > kLongest) return out + "...";
    const utf8::Unit unit = utf8::unit_at(text, at);
    const bool breaks = unit.code == '\n' || unit.code == '\r' || unit.code == '\t';
    const bool control = unit.code < 0x20 || (unit.code >= 0x7F && unit.code < 0xA0);
    utf8::append(out, breaks ? U' ' : control ? U'?' : unit.code);
    at += unit.size;
  }
  return out;
}

}  // namespace fathom::tokens::jinja
