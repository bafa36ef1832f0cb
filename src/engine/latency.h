// How long something took, many times over: counts by bounds, as a metric wants them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace fathom::engine {

struct LatencyCounts {
  // Seconds: from a token of a small model to the longest wait in a queue, two or three in each power of ten.
  static constexpr std::array kBounds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,   0.25,
                                      0.5,   1.0,    2.5,   5.0,  10.0,  30.0, 100.0, 600.0};

  std::array<std::uint64_t, kBounds.size() + 1> counts{};  // [i]: up to kBounds[i], over the one before; then the rest
  double sum = 0;                                          // seconds

  void record(double seconds) {
    const auto bound = std::ranges::lower_bound(kBounds, seconds);
    ++counts[static_cast<std::size_t>(bound - kBounds.begin())];
    sum += seconds;
  }
};

}  // namespace fathom::engine
