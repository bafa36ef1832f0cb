// Times as people and Go's programs write them: "90s", "1h30m", "1.5h", "300ms", or a plain number of seconds.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace fathom::server {

// Below zero, or longer than anything lasts: std::chrono::milliseconds::max(), for ever. None where it is no time.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
std::optional<std::chrono::milliseconds> duration_of(double seconds);

}  // namespace fathom::server
