// The few properties of characters that tokenizers and templates ask for.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace fathom::tokens {

bool is_white_space(char32_t c);     // Unicode White_Space
bool is_word_character(char32_t c);  // letters, marks, digits and connectors, as a regular expression's \w
bool is_letter(char32_t c);

// Where the character before text[at] starts; at > 0. Bytes that are not UTF-8 count one by one.
std::size_t start_of_character_before(std::string_view text, std::size_t at);
char32_t character_before(std::string_view text, std::size_t at);

}  // namespace fathom::tokens
