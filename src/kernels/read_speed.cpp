#include "kernels/read_speed.h"

namespace fathom::kernels {

// Four places at once: one stream alone does not keep enough lines on their way from memory.
std::uint64_t sum_words(const std::uint64_t* words, std::int64_t n) {
  constexpr int kStreams = 4, kLanes = 8;
  std::uint64_t lanes[kStreams][kLanes] = {};
  const std::int64_t part = n / kStreams;
  for (std::int64_t i = 0; i + kLanes <= part; i += kLanes)
    for (int s = 0; s < kStreams; ++s)
      for (int k = 0; k < kLanes; ++k) lanes[s][k] += words[s * part + i + k];
  std::uint64_t sum = 0;
  for (const auto& stream : lanes)
    for (const std::uint64_t lane : stream) sum += lane;
  return sum;
}

}  // namespace fathom::kernels
