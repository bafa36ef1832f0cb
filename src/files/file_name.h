// Which names from outside may become names of files here. A name is parsed, segment by segment, and never joined to a
// path before it has passed.
#pragma once

#include <string_view>

namespace fathom::files {

// Letters, digits, and ._-+@()[] and spaces inside; at most 255 bytes; no leading dot or dash; not "." or "..".
inline bool is_plain_file_name(std::string_view name) {
  if (name.empty() || name.size() > 255 || name.front() == '.' || name.front() == '-') return false;
  if (name.front() == ' ' || name.back() == ' ') return false;
  for (const char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!plain && std::string_view("._-+@()[] ").find(c) == std::string_view::npos) return false;
  }
  return true;
}

// Plain file names divided by single slashes, for instance "Q4_K_M/model-00001-of-00002.gguf"; at most 8 of them.
inline bool is_plain_relative_path(std::string_view path) {
  int segments = 0;
  for (;;) {
    const auto slash = path.find('/');
    if (!is_plain_file_name(path.substr(0, slash)) || ++segments > 8) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

}  // namespace fathom::files
