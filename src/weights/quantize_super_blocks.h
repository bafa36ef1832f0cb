// Blocks of 256 numbers in smaller ones whose scales are whole multiples of the block's fp16 scales: Q4_K, Q5_K, Q6_K.
#pragma once

#include <cstddef>

namespace fathom::weights {

void quantize_q4_k(const float* x, std::byte* block);
void quantize_q5_k(const float* x, std::byte* block);
void quantize_q6_k(const float* x, std::byte* block);

}  // namespace fathom::weights
