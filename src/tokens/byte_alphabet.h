// GPT-2's byte alphabet: the printable character that stands for each byte in the token texts of a byte-level BPE.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fathom::tokens {

// Bytes of a token written in the alphabet; nothing if it holds a character that stands for no byte.
std::optional<std::string> bytes_from_alphabet(std::string_view text);

// Bytes as the alphabet writes them.
std::string bytes_to_alphabet(std::string_view bytes);

}  // namespace fathom::tokens
