// The lines that were typed, one a line in a file that only its owner may read. Two programs may add at the same time.
#pragma once

#include <string>
#include <vector>

namespace fathom::apps {

inline constexpr std::size_t kHistoryLines = 1000;

// The newest lines of the file, oldest first; nothing where it cannot be read.
std::vector<std::string> read_history(const std::string& path);
// Adds a line, making the file and its folder where they are missing. A history that cannot be kept is no failure of
// what a person is doing, so nothing is reported.
void append_history(const std::string& path, const std::string& line);

}  // namespace fathom::apps
