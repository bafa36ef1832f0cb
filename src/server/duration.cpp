#include "server/duration.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <utility>

namespace fathom::server {

std::optional<std::chrono::milliseconds> duration_of(double seconds) {
  constexpr double kLongest = 1e9;  // decades: the same as for ever
  if (!std::isfinite(seconds)) return std::nullopt;
  if (seconds < 0 || seconds > kLongest) return std::chrono::milliseconds::max();
  return std::chrono::milliseconds(std::llround(seconds * 1e3));
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  constexpr std::pair<std::string_view, double> kUnits[] = {{"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9},
                                                            {"h", 3600},  {"m", 60},    {"s", 1}};
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  if (text.empty()) return std::nullopt;
  double sum = 0;
  for (bool first = true; !text.empty(); first = false) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    if (error != std::errc{} || value < 0) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (text.empty() && first) {  // a plain number
      sum = value;
      break;
    }
    const auto unit = std::ranges::find_if(kUnits, [&](const auto& u) { return text.starts_with(u.first); });
    if (unit == std::end(kUnits)) return std::nullopt;
    sum += value * unit->second;
    text.remove_prefix(unit->first.size());
  }
  return duration_of(negative ? -sum : sum);
}

}  // namespace fathom::server
