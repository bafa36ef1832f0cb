// The search behind every block format: a scale, or a scale and an offset, such that whole codes times the scale come
// nearest to some numbers. Plain arithmetic in four lanes, whose sums are taken in one fixed order; how codes are
// packed into blocks is not known here.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/half.h"

namespace fathom::weights {

using Lanes = float __attribute__((vector_size(16)));

inline Lanes all(float v) {
  return Lanes{v, v, v, v};
}
inline Lanes load(const float* p) {
  Lanes v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void store(float* p, Lanes v) {
  std::memcpy(p, &v, sizeof v);
}
inline float sum(Lanes v) {
  return (v[0] + v[1]) + (v[2] + v[3]);
}

// Whole codes from `low` to `high` nearest to v. Adding 1.5 * 2^23 leaves no bits below one (|v| < 2^22).
inline Lanes codes_of(Lanes v, float low, float high) {
  v = v < low ? all(low) : v;
  v = v > high ? all(high) : v;
  const Lanes whole = all(0x1.8p23f);
  return (v + whole) - whole;
}

// Numbers below half of the smallest fp16 are nearest to zero whatever their scale.
inline constexpr float kNothing = 0x1p-25f;
inline constexpr float kLargestHalf = 65504.0f;

// What a scale becomes when a block stores it.
inline float as_half(float v) {
  return base::f16_to_f32(base::f32_to_f16(std::clamp(v, -kLargestHalf, kLargestHalf)));
}

struct Range {
  float low = 0, high = 0;
};

template <int kSize>
Range range_of(const float* x) {
  Lanes low = load(x), high = low;
  for (int i = 4; i < kSize; i += 4) {
    const Lanes v = load(x + i);
    low = v < low ? v : low;
    high = v > high ? v : high;
  }
  return {std::min(std::min(low[0], low[1]), std::min(low[2], low[3])),
          std::max(std::max(high[0], high[1]), std::max(high[2], high[3]))};
}

// ---- codes times a scale

// Squared error of x as scale * code, with the codes nearest for that scale; they go to `codes` where it is not null.
template <int kSize>
float scaled_error(const float* x, float scale, float low, float high, float* codes = nullptr) {
  const Lanes inverse = all(scale == 0 ? 0.0f : 1.0f / scale);
  Lanes error = all(0);
  for (int i = 0; i < kSize; i += 4) {
    const Lanes v = load(x + i), q = codes_of(v * inverse, low, high), off = v - scale * q;
    error += off * off;
    if (codes != nullptr) store(codes + i, q);
  }
  return sum(error);
}

// For the codes nearest at `inverse` (one over a scale): x . q and q . q. The best scale for these codes is their
// quotient and takes (x . q)^2 / q . q off the squared error.
struct Projection {
  float xq = 0, qq = 0;
  float gain() const { return qq > 0 ? xq * xq / qq : 0; }
  float scale() const { return qq > 0 ? xq / qq : 0; }
};

template <int kSize>
Projection project(const float* x, float inverse, float low, float high) {
  Lanes xq = all(0), qq = all(0);
  for (int i = 0; i < kSize; i += 4) {
    const Lanes v = load(x + i), q = codes_of(v * inverse, low, high);
    xq += v * q;
    qq += q * q;
  }
  return {sum(xq), sum(qq)};
}

// Codes that the number of largest magnitude may get, as fractions between whole codes: [first, last] in `count` steps.
struct Reach {
  float first, last;
  int count;
};

// The scale with the least squared error among those that send the largest number to a code of `reach`, on either side
// of zero, each improved to the best one for its codes. 0 where all is nothing.
template <int kSize>
float best_scale(const float* x, float low, float high, Reach reach) {
  const Range range = range_of<kSize>(x);
  const float extreme = -range.low > range.high ? range.low : range.high;
  if (std::abs(extreme) < kNothing) return 0;
  Projection best;
  const auto consider = [&](float inverse) {
    const Projection p = project<kSize>(x, inverse, low, high);
    if (p.gain() > best.gain()) best = p;
  };
  const float step = reach.count > 1 ? (reach.last - reach.first) / static_cast<float>(reach.count - 1) : 0.0f;
  for (int i = 0; i < reach.count; ++i) {
    const float code = reach.first + step * static_cast<float>(i);
    consider(code / extreme);
    consider(-code / extreme);
  }
  for (int i = 0; i < 2 && best.scale() != 0; ++i) consider(1.0f / best.scale());
  return best.scale();
}

// ---- codes times a scale, less an offset

struct Affine {
  float scale = 0, min = 0;  // x ~ scale * code - min
};

struct AffineFit : Affine {
  float error = 0;
};

template <int kSize>
float affine_error(const float* x, Affine a, float high, float* codes = nullptr) {
  const Lanes inverse = all(a.scale == 0 ? 0.0f : 1.0f / a.scale);
  Lanes error = all(0);
  for (int i = 0; i < kSize; i += 4) {
    const Lanes v = load(x + i), q = codes_of((v + a.min) * inverse, 0, high), off = v - (a.scale * q - a.min);
    error += off * off;
    if (codes != nullptr) store(codes + i, q);
  }
  return sum(error);
}

// Sums over the codes nearest for one scale and offset; a straight line through (code, x) follows from them.
struct Moments {
  float q = 0, qq = 0, xq = 0;
};

template <int kSize>
Moments moments(const float* x, Affine a, float high) {
  const Lanes inverse = all(1.0f / a.scale);
  Lanes q_sum = all(0), qq = all(0), xq = all(0);
  for (int i = 0; i < kSize; i += 4) {
    const Lanes v = load(x + i), q = codes_of((v + a.min) * inverse, 0, high);
    q_sum += q;
    qq += q * q;
    xq += v * q;
  }
  return {sum(q_sum), sum(qq), sum(xq)};
}

// The line through these codes with the least squared error; its `error` lacks the sum of x^2. `signed_min`: whether
// the offset may be negative.
template <int kSize>
AffineFit line(const Moments& m, float x_sum, bool signed_min) {
  const float det = kSize * m.qq - m.q * m.q;
  AffineFit fit;
  if (det > 0) fit = {{(kSize * m.xq - m.q * x_sum) / det, (m.q * m.xq - m.qq * x_sum) / det}, 0.0f};
  // Through the origin, where the offset has no room (or the codes are all one, and tell nothing of it).
  if (!signed_min && !(det > 0 && fit.min >= 0)) fit = {{m.qq > 0 ? m.xq / m.qq : 0.0f, 0.0f}, 0.0f};
  if (!(fit.scale > 0)) return {};
  fit.error = fit.scale * fit.scale * m.qq - 2 * fit.scale * (m.xq + fit.min * m.q) + 2 * fit.min * x_sum +
              fit.min * fit.min * kSize;
  return fit;
}

// The best scale and offset found among lines whose `reach.first` to `reach.last` steps span the numbers, hung up at
// the lower end or in the middle, each improved to the best one for its codes.
template <int kSize>
Affine best_affine(const float* x, float high, Reach reach, bool signed_min) {
  Range range = range_of<kSize>(x);
  if (!signed_min) range.low = std::min(range.low, 0.0f);
  const float width = range.high - range.low;
  if (width < kNothing) return {0, -range.low};
  Lanes total = all(0);
  for (int i = 0; i < kSize; i += 4) total += load(x + i);
  const float x_sum = sum(total);
  AffineFit best;
  const auto consider = [&](Affine a) {
    const AffineFit fit = line<kSize>(moments<kSize>(x, a, high), x_sum, signed_min);
    if (fit.error < best.error) best = fit;
  };
  const float step = reach.count > 1 ? (reach.last - reach.first) / static_cast<float>(reach.count - 1) : 0.0f;
  for (int i = 0; i < reach.count; ++i) {
    const float scale = width / (reach.first + step * static_cast<float>(i));
    consider({scale, -range.low});
    const float middle = (scale * high - range.low - range.high) / 2;
    if (signed_min || middle > 0) consider({scale, middle});
  }
  for (int i = 0; i < 2 && best.scale > 0; ++i) consider(best);
  return best;
}

}  // namespace fathom::weights
