// Categories come from utf8proc.
#include "tokens/unicode.h"

#include <utf8proc.h>

#include "tokens/utf8.h"

namespace fathom::tokens {
namespace {

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

}  // namespace

bool is_white_space(char32_t c) {
  switch (c) {
    case 0x20:
    case 0x85:
    case 0xA0:
    case 0x1680:
    case 0x2028:
    case 0x2029:
    case 0x202F:
    case 0x205F:
    case 0x3000:
      return true;
    default:
      return (c >= 0x9 && c <= 0xD) || (c >= 0x2000 && c <= 0x200A);
  }
}

bool is_letter(char32_t c) {
  const utf8proc_category_t k = category(c);
  return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}

bool is_word_character(char32_t c) {
  const utf8proc_category_t k = category(c);
  return is_letter(c) || (k >= UTF8PROC_CATEGORY_MN && k <= UTF8PROC_CATEGORY_ME) || k == UTF8PROC_CATEGORY_ND ||
         k == UTF8PROC_CATEGORY_PC;
}

std::size_t start_of_character_before(std::string_view text, std::size_t at) {
  std::size_t start = at - 1;
  for (int i = 0; i < 3 && start > 0 && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80; ++i) --start;
  const utf8::Unit unit = utf8::unit_at(text.substr(0, at), start);
  return unit.kind == utf8::Kind::kCharacter && start + unit.size == at ? start : at - 1;
}

char32_t character_before(std::string_view text, std::size_t at) {
  return utf8::unit_at(text, start_of_character_before(text, at)).code;
}

}  // namespace fathom::tokens
