#include "weights/quantize_small_blocks.h"

#include <array>
#include <cstdint>

#include "weights/quantize_bytes.h"
#include "weights/quantize_fit.h"

namespace fathom::weights {
namespace {

constexpr int kSize = 32;

using Codes = std::array<float, kSize>;

// The low four bits of code j and of code j + 16 share byte j.
void put_nibbles(std::byte* at, const Codes& codes) {
  for (std::size_t j = 0; j < 16; ++j) at[j] = std::byte((byte_of(codes[j]) & 15) | (byte_of(codes[j + 16]) & 15) << 4);
}

// The fifth bits, bit j of code j.
void put_fifth_bits(std::byte* at, const Codes& codes) {
  std::uint32_t bits = 0;
  for (std::size_t j = 0; j < kSize; ++j) bits |= static_cast<std::uint32_t>(byte_of(codes[j]) >> 4 & 1) << j;
  std::memcpy(at, &bits, sizeof bits);
}

// Scale and codes (from 0, zero in the middle) of a block without an offset.
float fit_scaled(const float* x, float middle, Reach reach, Codes& codes) {
  const float low = -middle, high = middle - 1;
  const float scale = as_half(best_scale<kSize>(x, low, high, reach));
  scaled_error<kSize>(x, scale, low, high, codes.data());
  for (float& code : codes) code += middle;
  return scale;
}

Affine fit_affine(const float* x, float high, Reach reach, Codes& codes) {
  Affine a = best_affine<kSize>(x, high, reach, true);
  a = {as_half(a.scale), as_half(a.min)};
  affine_error<kSize>(x, a, high, codes.data());
  return a;
}

}  // namespace

void quantize_q4_0(const float* x, std::byte* block) {
  Codes codes;
  put_half(block, fit_scaled(x, 8, {6.5f, 9.5f, 13}, codes));
  put_nibbles(block + 2, codes);
}

void quantize_q5_0(const float* x, std::byte* block) {
  Codes codes;
  put_half(block, fit_scaled(x, 16, {14, 17.5f, 15}, codes));
  put_fifth_bits(block + 2, codes);
  put_nibbles(block + 6, codes);
}

void quantize_q4_1(const float* x, std::byte* block) {
  Codes codes;
  const Affine a = fit_affine(x, 15, {13.5f, 18, 10}, codes);
  put_half(block, a.scale);
  put_half(block + 2, -a.min);
  put_nibbles(block + 4, codes);
}

void quantize_q5_1(const float* x, std::byte* block) {
  Codes codes;
  const Affine a = fit_affine(x, 31, {29, 34, 11}, codes);
  put_half(block, a.scale);
  put_half(block + 2, -a.min);
  put_fifth_bits(block + 4, codes);
  put_nibbles(block + 8, codes);
}

void quantize_q8_0(const float* x, std::byte* block) {
  // -128 is left out: the code's negative must exist for those who multiply with signs moved between factors.
  constexpr float kHigh = 127;
  const Range range = range_of<kSize>(x);
  const float extreme = std::max(-range.low, range.high);
  float best = 0, least = scaled_error<kSize>(x, 0, -kHigh, kHigh);
  for (int i = 0; i < 16 && extreme >= kNothing; ++i) {
    const float scale = as_half(extreme / (kHigh + 0.25f - 0.25f * static_cast<float>(i)));
    const float error = scaled_error<kSize>(x, scale, -kHigh, kHigh);
    if (error < least) best = scale, least = error;
  }
  Codes codes;
  scaled_error<kSize>(x, best, -kHigh, kHigh, codes.data());
  put_half(block, best);
  for (std::size_t j = 0; j < kSize; ++j) block[2 + j] = std::byte(byte_of(codes[j]));
}

}  // namespace fathom::weights
