#include "weights/quantize_super_blocks.h"

#include <array>
#include <cstdint>
#include <optional>

#include "weights/quantize_bytes.h"
#include "weights/quantize_fit.h"

namespace fathom::weights {
namespace {

constexpr int kSuperSize = 256;

using SuperCodes = std::array<float, kSuperSize>;

// How often scales of the block and of its parts are fitted to each other. Two rounds reach within a thousandth of what
// ten do.
constexpr int kRounds = 2;

// The smallest fp16 not below v >= 0, so that no multiple needed is beyond the last one. Matters among fp16's smallest
// numbers, which lie far apart.
float half_up(float v) {
  std::uint16_t h = base::f32_to_f16(std::min(v, kLargestHalf));
  if (base::f16_to_f32(h) < v && h < 0x7bff) ++h;
  return base::f16_to_f32(h);
}

float whole_between(float v, float low, float high) {
  return std::clamp(std::nearbyint(v), low, high);
}

// ---- Q4_K and Q5_K: x ~ d * scale * code - dmin * min, scale and min 6 bits for each 32 numbers

constexpr int kAffinePart = 32, kAffineParts = 8;
constexpr float kMostMultiple = 63;

struct AffineBlock {
  float d = 0, dmin = 0;
  std::array<float, kAffineParts> scale{}, min{};  // multiples of d and dmin
  float error = 0;

  Affine part(std::size_t j) const { return {d * scale[j], dmin * min[j]}; }
};

// The multiples of d and dmin for one part: those next to what it would have chosen freely, the one with the least
// error.
float choose_multiples(const float* x, Affine wish, float high, AffineBlock& block, std::size_t j) {
  Lanes total = all(0);
  for (int i = 0; i < kAffinePart; i += 4) total += load(x + i);
  const float x_sum = sum(total), near = block.d > 0 ? std::nearbyint(wish.scale / block.d) : 0.0f;
  std::optional<float> least;
  for (float scale = near - 1; scale <= near + 1; ++scale) {
    if (scale < 0 || scale > kMostMultiple) continue;
    const float s = block.d * scale;
    const float q_sum = s > 0 ? moments<kAffinePart>(x, {s, wish.min}, high).q : 0.0f;
    const float free_min = (s * q_sum - x_sum) / kAffinePart;
    const float min = block.dmin > 0 ? whole_between(free_min / block.dmin, 0, kMostMultiple) : 0.0f;
    const float error = affine_error<kAffinePart>(x, {s, block.dmin * min}, high);
    if (least && *least <= error) continue;
    least = error;
    block.scale[j] = scale;
    block.min[j] = min;
  }
  return least.value_or(0);
}

// d and dmin with the least error for the multiples and codes of `block`.
void refit(const float* x, float high, AffineBlock& block) {
  float aa = 0, ab = 0, bb = 0, xa = 0, xb = 0;
  for (std::size_t j = 0; j < kAffineParts; ++j) {
    const float* part = x + j * kAffinePart;
    const float scale = block.scale[j], min = block.min[j];
    Lanes total = all(0);
    for (int i = 0; i < kAffinePart; i += 4) total += load(part + i);
    const Moments m = block.part(j).scale > 0 ? moments<kAffinePart>(part, block.part(j), high) : Moments{};
    aa += scale * scale * m.qq;
    ab += scale * min * m.q;
    bb += kAffinePart * min * min;
    xa += scale * m.xq;
    xb += min * sum(total);
  }
  const float det = aa * bb - ab * ab;
  if (det > 0) {
    block.d = as_half(std::max(0.0f, (xa * bb - ab * xb) / det));
    block.dmin = as_half(std::max(0.0f, (ab * xa - aa * xb) / det));
  } else if (aa > 0) {
    block.d = as_half(std::max(0.0f, xa / aa));
  }
}

AffineBlock fit_affine_block(const float* x, float high, Reach reach) {
  std::array<Affine, kAffineParts> wishes;
  float most_scale = 0, most_min = 0;
  for (std::size_t j = 0; j < kAffineParts; ++j) {
    wishes[j] = best_affine<kAffinePart>(x + j * kAffinePart, high, reach, false);
    most_scale = std::max(most_scale, wishes[j].scale);
    most_min = std::max(most_min, wishes[j].min);
  }
  AffineBlock block{.d = half_up(most_scale / kMostMultiple), .dmin = half_up(most_min / kMostMultiple)}, best;
  for (int round = 0; round <= kRounds; ++round) {
    block.error = 0;
    for (std::size_t j = 0; j < kAffineParts; ++j)
      block.error += choose_multiples(x + j * kAffinePart, wishes[j], high, block, j);
    if (round == 0 || block.error < best.error) best = block;
    refit(x, high, block);
  }
  return best;
}

// Eight pairs of 6 bits in 12 bytes: the first four in bytes 0 to 7, the others in 8 to 11 and the top bits of those.
void put_pairs(std::byte* at, const AffineBlock& block) {
  for (std::size_t j = 0; j < 4; ++j) {
    const auto scale = byte_of(block.scale[j]), min = byte_of(block.min[j]);
    const auto later_scale = byte_of(block.scale[j + 4]), later_min = byte_of(block.min[j + 4]);
    at[j] = std::byte(scale | later_scale >> 4 << 6);
    at[j + 4] = std::byte(min | later_min >> 4 << 6);
    at[j + 8] = std::byte((later_scale & 15) | (later_min & 15) << 4);
  }
}

SuperCodes put_affine_head(const float* x, float high, Reach reach, std::byte* at) {
  const AffineBlock block = fit_affine_block(x, high, reach);
  SuperCodes codes;
  for (std::size_t j = 0; j < kAffineParts; ++j)
    affine_error<kAffinePart>(x + j * kAffinePart, block.part(j), high, codes.data() + j * kAffinePart);
  put_half(at, block.d);
  put_half(at + 2, block.dmin);
  put_pairs(at + 4, block);
  return codes;
}

// Bytes 32 c to 32 c + 31 hold the low four bits of the parts 2 c and 2 c + 1.
void put_paired_nibbles(std::byte* at, const SuperCodes& codes) {
  for (std::size_t i = 0; i < 128; ++i) {
    const std::size_t from = i / 32 * 64 + i % 32;
    at[i] = std::byte((byte_of(codes[from]) & 15) | (byte_of(codes[from + 32]) & 15) << 4);
  }
}

// ---- Q6_K: x ~ d * scale * code, scale 8 bits for each 16 numbers

constexpr int kScaledPart = 16, kScaledParts = 16;
constexpr float kLowSix = -32, kHighSix = 31;

struct ScaledBlock {
  float d = 0;
  std::array<float, kScaledParts> scale{};
  float error = 0;
};

float choose_multiple(const float* x, float wish, ScaledBlock& block, std::size_t j) {
  const float near = block.d != 0 ? whole_between(wish / block.d, -128, 127) : 0.0f;
  std::optional<float> least;
  for (float scale = std::max(near - 1, -128.0f); scale <= std::min(near + 1, 127.0f); ++scale) {
    const float error = scaled_error<kScaledPart>(x, block.d * scale, kLowSix, kHighSix);
    if (least && *least <= error) continue;
    least = error;
    block.scale[j] = scale;
  }
  return least.value_or(0);
}

void refit(const float* x, ScaledBlock& block) {
  float aa = 0, xa = 0;
  for (std::size_t j = 0; j < kScaledParts; ++j) {
    const float scale = block.d * block.scale[j];
    if (scale == 0) continue;
    const Projection p = project<kScaledPart>(x + j * kScaledPart, 1.0f / scale, kLowSix, kHighSix);
    aa += block.scale[j] * block.scale[j] * p.qq;
    xa += block.scale[j] * p.xq;
  }
  if (aa > 0) block.d = as_half(xa / aa);
}

ScaledBlock fit_scaled_block(const float* x) {
  std::array<float, kScaledParts> wishes;
  float most = 0;
  for (std::size_t j = 0; j < kScaledParts; ++j) {
    wishes[j] = best_scale<kScaledPart>(x + j * kScaledPart, kLowSix, kHighSix, {30.5f, 33, 11});
    if (std::abs(wishes[j]) > std::abs(most)) most = wishes[j];
  }
  // The largest scale becomes -128 d.
  ScaledBlock block{.d = std::copysign(half_up(std::abs(most) / 128), -most)}, best;
  for (int round = 0; round <= kRounds; ++round) {
    block.error = 0;
    for (std::size_t j = 0; j < kScaledParts; ++j)
      block.error += choose_multiple(x + j * kScaledPart, wishes[j], block, j);
    if (round == 0 || block.error < best.error) best = block;
    refit(x, block);
  }
  return best;
}

}  // namespace

void quantize_q4_k(const float* x, std::byte* block) {
  const SuperCodes codes = put_affine_head(x, 15, {13.5f, 18, 10}, block);
  put_paired_nibbles(block + 16, codes);
}

void quantize_q5_k(const float* x, std::byte* block) {
  const SuperCodes codes = put_affine_head(x, 31, {29, 34, 11}, block);
  // Bit p of byte l is the fifth bit of number l of part p.
  for (std::size_t l = 0; l < 32; ++l) {
    std::uint8_t bits = 0;
    for (std::size_t p = 0; p < kAffineParts; ++p)
      bits |= static_cast<std::uint8_t>((byte_of(codes[p * 32 + l]) >> 4 & 1) << p);
    block[16 + l] = std::byte(bits);
  }
  put_paired_nibbles(block + 48, codes);
}

void quantize_q6_k(const float* x, std::byte* block) {
  const ScaledBlock fit = fit_scaled_block(x);
  SuperCodes codes;
  for (std::size_t j = 0; j < kScaledParts; ++j)
    scaled_error<kScaledPart>(x + j * kScaledPart, fit.d * fit.scale[j], kLowSix, kHighSix,
                              codes.data() + j * kScaledPart);
  // In each half of 128: low four bits of numbers l and l + 64 in byte l, then the upper two bits of l, l + 32, l + 64
  // and l + 96 in one byte.
  for (std::size_t h = 0; h < 2; ++h) {
    const auto code = [&](std::size_t i) { return byte_of(codes[128 * h + i] - kLowSix); };
    for (std::size_t l = 0; l < 64; ++l) block[64 * h + l] = std::byte((code(l) & 15) | (code(l + 64) & 15) << 4);
    for (std::size_t l = 0; l < 32; ++l)
      block[128 + 32 * h + l] =
          std::byte(code(l) >> 4 | code(l + 32) >> 4 << 2 | code(l + 64) >> 4 << 4 | code(l + 96) >> 4 << 6);
  }
  for (std::size_t j = 0; j < kScaledParts; ++j) block[192 + j] = std::byte(byte_of(fit.scale[j]));
  put_half(block + 208, fit.d);
}

}  // namespace fathom::weights
