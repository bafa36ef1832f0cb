// What the bits of each storage format mean: one row of it to fp32. These functions are the definition the faster
// decoders are held against. Scales that lie outside the row (FP8 blocks) are not known here.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fathom::kernels::scalar {

void decode_f32(const std::byte* row, std::int64_t n, float* out);
void decode_f16(const std::byte* row, std::int64_t n, float* out);
void decode_bf16(const std::byte* row, std::int64_t n, float* out);
void decode_f8e4m3(const std::byte* row, std::int64_t n, float* out);
void decode_q4_0(const std::byte* row, std::int64_t n, float* out);
void decode_q4_1(const std::byte* row, std::int64_t n, float* out);
void decode_q5_0(const std::byte* row, std::int64_t n, float* out);
void decode_q5_1(const std::byte* row, std::int64_t n, float* out);
void decode_q8_0(const std::byte* row, std::int64_t n, float* out);
void decode_q2_k(const std::byte* row, std::int64_t n, float* out);
void decode_q3_k(const std::byte* row, std::int64_t n, float* out);
void decode_q4_k(const std::byte* row, std::int64_t n, float* out);
void decode_q5_k(const std::byte* row, std::int64_t n, float* out);
void decode_q6_k(const std::byte* row, std::int64_t n, float* out);
void decode_iq4_nl(const std::byte* row, std::int64_t n, float* out);
void decode_iq4_xs(const std::byte* row, std::int64_t n, float* out);
void decode_mxfp4(const std::byte* row, std::int64_t n, float* out);

}  // namespace fathom::kernels::scalar
