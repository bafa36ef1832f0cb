#include "apps/terminal_history.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace fathom::apps {
namespace {

// A line longer than this is a pasted text, of which the history would keep too much.
constexpr std::size_t kLongestLine = 16384;

std::string escaped(const std::string& line) {
  std::string out;
  for (const char c : line) {
    if (c == '\\')
      out += "\\\\";
    else if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out + '\n';
}

std::string unescaped(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
    } else {
      out += text[++i] == 'n' ? '\n' : text[i];
    }
  }
  return out;
}

void write_lines(const std::string& path, int flags, const std::string& text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, S_IRUSR | S_IWUSR);
  if (fd < 0) return;
  fchmod(fd, S_IRUSR | S_IWUSR);  // it may have come from elsewhere
  // One write a line: lines of two programs do not mix. What fails is lost and nothing else is.
  [[maybe_unused]] const auto written = ::write(fd, text.data(), text.size());
  close(fd);
}

}  // namespace

std::vector<std::string> read_history(const std::string& path) {
  std::vector<std::string> lines;
  std::ifstream in(path, std::ios::binary);
  for (std::string line; std::getline(in, line);) lines.push_back(unescaped(line));
  if (lines.size() <= kHistoryLines) return lines;
  const bool long_file = lines.size() > 2 * kHistoryLines;
  lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(kHistoryLines));
  if (long_file) {
    std::string text;
    for (const std::string& line : lines) text += escaped(line);
    write_lines(path, O_TRUNC, text);
  }
  return lines;
}

void append_history(const std::string& path, const std::string& line) {
  if (line.empty() || line.size() > kLongestLine) return;
  std::error_code error;
  const auto folder = std::filesystem::path(path).parent_path();
  if (!folder.empty() && std::filesystem::create_directories(folder, error))
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  write_lines(path, O_APPEND, escaped(line));
}

}  // namespace fathom::apps
