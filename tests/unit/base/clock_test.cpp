#include "base/clock.h"

#include <gtest/gtest.h>

namespace fathom::base {
namespace {

TEST(Clock, MomentsAsText) {
  EXPECT_EQ(utc_day(0), "1970-01-01");
  EXPECT_EQ(utc_day(951'782'399), "2000-02-28");
  EXPECT_EQ(utc_day(951'782'400), "2000-02-29");
  EXPECT_EQ(rfc3339(1'764'032'889), "2025-11-25T01:08:09Z");
  EXPECT_EQ(rfc3339(-1), "1969-12-31T23:59:59Z");
}

TEST(Clock, SecondsAndMillisecondsAreOneClock) {
  const std::int64_t before = unix_milliseconds();
  const std::int64_t seconds = unix_seconds();
  EXPECT_GE(seconds, before / 1000);
  EXPECT_LE(seconds, unix_milliseconds() / 1000);
  EXPECT_GT(seconds, 1'764'000'000);
}

}  // namespace
}  // namespace fathom::base
