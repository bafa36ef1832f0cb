#include "base/clock.h"

#include <fmt/format.h>

#include <chrono>

namespace fathom::base {

std::int64_t unix_seconds() {
  return unix_milliseconds() / 1000;
}

std::int64_t unix_milliseconds() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

std::tm utc_parts(std::int64_t unix_seconds) {
  const std::time_t time = unix_seconds;
  std::tm parts{};
  gmtime_r(&time, &parts);
  return parts;
}

std::string utc_day(std::int64_t unix_seconds) {
  const std::tm parts = utc_parts(unix_seconds);
  return fmt::format("{:04}-{:02}-{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
}

std::string rfc3339(std::int64_t unix_seconds) {
  const std::tm parts = utc_parts(unix_seconds);
  return fmt::format("{}T{:02}:{:02}:{:02}Z", utc_day(unix_seconds), parts.tm_hour, parts.tm_min, parts.tm_sec);
}

}  // namespace fathom::base
