// Reads memory as fast as plain code can: what `bench` measures the machine's bandwidth with.
#pragma once

#include <cstdint>

namespace fathom::kernels {

// The sum of n words, n a multiple of 32.
std::uint64_t sum_words(const std::uint64_t* words, std::int64_t n);

}  // namespace fathom::kernels
