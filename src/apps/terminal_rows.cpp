#include "apps/terminal_rows.h"

#include <fmt/format.h>

#include <algorithm>

#include "apps/terminal.h"

namespace fathom::apps {
namespace {

constexpr char kStyleEnd[] = "\033[0m";

std::string up(std::size_t rows) {
  return rows == 0 ? std::string() : fmt::format("\033[{}A", rows);
}

// Columns of a row that may hold escape codes of styles.
int shown_columns(const std::string& row) {
  std::string plain;
  for (std::size_t at = 0; at < row.size(); ++at) {
    if (row[at] == '\033') {
      at = std::min(row.find('m', at), row.size() - 1);
    } else {
      plain += row[at];
    }
  }
  return columns_of(plain);
}

}  // namespace

void LiveRows::show(const std::vector<std::string>& done, std::vector<std::string> live) {
  std::vector<std::string> next = done;
  next.insert(next.end(), live.begin(), live.end());
  std::size_t same = 0;
  while (same < live_.size() && same < next.size() && live_[same] == next[same]) ++same;
  // The cursor must end after a live row: the last one is written again where nothing else is.
  if (same == next.size() && same < live_.size() && !live.empty()) --same;

  std::string out;
  bool fresh = live_.empty();  // the cursor stands on an empty row
  if (same < live_.size()) {
    const bool appends = same + 1 == live_.size() && same < next.size() && next[same].starts_with(live_[same]) &&
                         !live_[same].ends_with(kStyleEnd);
    if (appends) {
      out += next[same].substr(live_[same].size());
      ++same;
    } else {
      out += up(live_.size() - 1 - same) + "\r\033[J";
      fresh = true;
    }
  }
  for (; same < next.size(); ++same, fresh = false) out += (fresh ? "" : "\r\n") + next[same];
  if (live.empty() && !fresh) out += "\r\n";
  live_ = std::move(live);
  write(out);
}

void LiveRows::clear(int columns) {
  if (live_.empty()) return;
  std::size_t rows = 0;
  for (const std::string& row : live_)
    rows += static_cast<std::size_t>(std::max(1, (shown_columns(row) + columns - 1) / columns));
  live_.clear();
  write(up(rows - 1) + "\r\033[J");
}

void LiveRows::write(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), out_);
  std::fflush(out_);
}

}  // namespace fathom::apps
