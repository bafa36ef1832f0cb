// A terminal's screen in memory, for what the program writes: characters with their widths, the cursor, and the few
// escape codes that are used. An escape code that it does not know is an error.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "apps/terminal.h"
#include "tokens/utf8.h"

namespace fathom::apps {

class Screen {
 public:
  Screen(int columns, int rows) : columns_(columns), rows_(rows), lines_(1) {}

  void write(std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
      if (text[at] == '\033') {
        at = escape(text, at);
        continue;
      }
      const auto unit = tokens::utf8::unit_at(text, at);
      put(std::string(text.substr(at, unit.size)), unit.code);
      at += unit.size;
    }
  }

  // All rows that were ever shown, those that scrolled away too, without spaces at their ends.
  std::vector<std::string> text() const {
    std::vector<std::string> out;
    for (const auto& line : lines_) {
      std::string row;
      for (const std::string& cell : line) row += cell;
      while (row.ends_with(' ')) row.pop_back();
      out.push_back(row);
    }
    while (!out.empty() && out.back().empty()) out.pop_back();
    return out;
  }

 private:
  void put(const std::string& bytes, char32_t code) {
    if (code == '\r') {
      column_ = 0;
    } else if (code == '\n') {
      down();
    } else {
      ASSERT_GE(code, 0x20u);
      const int width = columns_of(bytes);
      if (column_ + width > columns_) {
        column_ = 0;
        down();
      }
      auto& line = lines_[line_];
      if (static_cast<int>(line.size()) < column_ + width) line.resize(static_cast<std::size_t>(column_ + width), " ");
      for (int i = 0; i < width; ++i) line[static_cast<std::size_t>(column_ + i)] = i == 0 ? bytes : "";
      column_ += width;
    }
  }

  void down() {
    if (++line_ == lines_.size()) lines_.emplace_back();
  }

  std::size_t escape(std::string_view text, std::size_t at) {
    const std::size_t end = text.find_first_of("ABCDHJKm", at + 2);
    if (end == std::string_view::npos) {
      ADD_FAILURE() << "an escape code that does not end";
      return text.size();
    }
    const std::string argument(text.substr(at + 2, end - at - 2));
    const std::size_t n = argument.empty() ? 1 : static_cast<std::size_t>(std::atoi(argument.c_str()));
    switch (text[end]) {
      case 'm':
        break;
      case 'A': {
        const std::size_t top =
            lines_.size() > static_cast<std::size_t>(rows_) ? lines_.size() - static_cast<std::size_t>(rows_) : 0;
        EXPECT_LE(top + n, line_) << "beyond the top of the screen";
        line_ = line_ >= top + n ? line_ - n : top;
        break;
      }
      case 'J':
        lines_.resize(line_ + 1);
        lines_[line_].resize(std::min(lines_[line_].size(), static_cast<std::size_t>(column_)));
        break;
      default:
        ADD_FAILURE() << "escape code " << text[end];
    }
    return end + 1;
  }

  int columns_, rows_;
  std::vector<std::vector<std::string>> lines_;  // a wide character fills a cell and an empty one
  std::size_t line_ = 0;
  int column_ = 0;
};

}  // namespace fathom::apps
