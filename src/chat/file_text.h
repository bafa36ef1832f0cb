// A file that a person attached, as text: UTF-8, whatever it was written in. Untrusted bytes in; nothing of databases.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace fathom::chat {

inline constexpr std::size_t kMostFileBytes = std::size_t{10} << 20;

// Reads UTF-8, UTF-16 with its mark, and where the bytes are plainly so CP949 (Korean), GB18030 (Chinese) or
// Windows-1252; ends of lines become "\n". Errors, one line each: too long, empty, or no text (with what it is where
// that shows).
base::Result<std::string> read_file_text(std::string_view bytes);

// "markdown", "csv", "code" or "text", by the name's ending.
std::string_view kind_of_file(std::string_view name);

}  // namespace fathom::chat
