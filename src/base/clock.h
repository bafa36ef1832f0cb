// The wall clock, and its moments as text in UTC.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>

namespace fathom::base {

std::int64_t unix_seconds();       // since 1970, now
std::int64_t unix_milliseconds();  // the same

std::tm utc_parts(std::int64_t unix_seconds);
std::string utc_day(std::int64_t unix_seconds);  // "2026-11-24"
std::string rfc3339(std::int64_t unix_seconds);  // "2026-11-24T10:30:00Z"

}  // namespace fathom::base
