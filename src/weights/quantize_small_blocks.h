// Blocks of 32 numbers with fp16 scales of their own: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0.
#pragma once

#include <cstddef>

namespace fathom::weights {

void quantize_q4_0(const float* x, std::byte* block);
void quantize_q4_1(const float* x, std::byte* block);
void quantize_q5_0(const float* x, std::byte* block);
void quantize_q5_1(const float* x, std::byte* block);
void quantize_q8_0(const float* x, std::byte* block);

}  // namespace fathom::weights
