// Operations on single rows, for any vector V of fp32 lanes (vector_*.h): normalisation, rotation, activation, and the
// rows of the cache. A row's tail is computed in the same lanes with the absent ones masked.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/table.h"

namespace fathom::kernels {
namespace {

template <class V>
inline std::int64_t lanes_left(std::int64_t left) {
  return left < V::kLanes ? left : V::kLanes;
}

// e^x to about one unit in the last place: x = n ln 2 + r with |r| <= ln 2 / 2, then the Taylor polynomial of degree 7,
// whose remainder 0.3466^8 / 8! = 5.2e-9 is a tenth of fp32's half unit. ln 2 is taken away in two parts, the first of
// which has 9 significant bits, so that n times it is exact.
template <class V>
inline typename V::F exponential(typename V::F x) {
  x = V::min(V::set(89.0f), V::max(V::set(-104.0f), x));
  const auto n = V::round(V::mul(x, V::set(1.44269504f)));
  auto r = V::fnma(n, V::set(0.693359375f), x);
  r = V::fnma(n, V::set(-2.12194440e-4f), r);
  auto p = V::set(1.0f / 5040);
  p = V::fma(p, r, V::set(1.0f / 720));
  p = V::fma(p, r, V::set(1.0f / 120));
  p = V::fma(p, r, V::set(1.0f / 24));
  p = V::fma(p, r, V::set(1.0f / 6));
  p = V::fma(p, r, V::set(0.5f));
  p = V::fma(p, r, V::set(1.0f));
  p = V::fma(p, r, V::set(1.0f));
  return V::scale_by_power(p, n);
}

// 1 / sqrt(x) by the instructions of the baseline, exactly rounded twice.
inline float inverse_root(float x) {
  return _mm_cvtss_f32(_mm_div_ss(_mm_set_ss(1.0f), _mm_sqrt_ss(_mm_set_ss(x))));
}

template <class V>
void rms_norm(const float* x, const float* weight, float eps, std::int64_t n, float* out) {
  constexpr int kSums = 4;
  typename V::F sums[kSums] = {V::zero(), V::zero(), V::zero(), V::zero()};
  std::int64_t i = 0;
  for (; i + kSums * V::kLanes <= n; i += kSums * V::kLanes) {
#pragma GCC unroll 4
    for (int k = 0; k < kSums; ++k) {
      const auto v = V::load(x + i + k * V::kLanes);
      sums[k] = V::fma(v, v, sums[k]);
    }
  }
  for (; i < n; i += V::kLanes) {
    const auto v = V::load_first(x + i, lanes_left<V>(n - i));
    sums[0] = V::fma(v, v, sums[0]);
  }
  const float squares = V::sum(V::add(V::add(sums[0], sums[1]), V::add(sums[2], sums[3])));
  const auto factor = V::set(inverse_root(squares / static_cast<float>(n) + eps));
  for (i = 0; i < n; i += V::kLanes) {
    const std::int64_t m = lanes_left<V>(n - i);
    auto y = V::mul(V::load_first(x + i, m), factor);
    if (weight) y = V::mul(y, V::load_first(weight + i, m));
    V::store_first(out + i, y, m);
  }
}

template <class V>
void rope(float* x, const float* cos, const float* sin, std::int64_t pairs, RopeLayout layout) {
  if (layout == RopeLayout::kInterleaved) {
    for (std::int64_t i = 0; i < pairs; i += V::kLanes / 2) {
      const std::int64_t m = pairs - i < V::kLanes / 2 ? pairs - i : V::kLanes / 2;
      V::store_first(x + 2 * i, V::rotate_pairs(V::load_first(x + 2 * i, 2 * m), cos + i, sin + i, m), 2 * m);
    }
    return;
  }
  for (std::int64_t i = 0; i < pairs; i += V::kLanes) {
    const std::int64_t m = lanes_left<V>(pairs - i);
    const auto a = V::load_first(x + i, m), b = V::load_first(x + pairs + i, m);
    const auto c = V::load_first(cos + i, m), s = V::load_first(sin + i, m);
    V::store_first(x + i, V::sub(V::mul(a, c), V::mul(b, s)), m);
    V::store_first(x + pairs + i, V::fma(a, s, V::mul(b, c)), m);
  }
}

template <class V>
void swiglu(const float* gate, const float* up, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; i += V::kLanes) {
    const std::int64_t m = lanes_left<V>(n - i);
    const auto g = V::load_first(gate + i, m);
    const auto silu = V::div(g, V::add(V::set(1.0f), exponential<V>(V::sub(V::zero(), g))));
    V::store_first(out + i, V::mul(silu, V::load_first(up + i, m)), m);
  }
}

// Element types of a row in memory: `load` reads the lanes from element i on, `load_first` the first m of them.
template <class V>
struct RowF32 {
  static constexpr std::int64_t kBytes = 4;
  static typename V::F load(const std::byte* row, std::int64_t i) {
    return V::load(reinterpret_cast<const float*>(row) + i);
  }
  static typename V::F load_first(const std::byte* row, std::int64_t i, std::int64_t m) {
    return V::load_first(reinterpret_cast<const float*>(row) + i, m);
  }
};

template <class V>
struct RowF16 {
  static constexpr std::int64_t kBytes = 2;
  static typename V::F load(const std::byte* row, std::int64_t i) { return V::from_f16(V::halfwords(row + 2 * i)); }
  static typename V::F load_first(const std::byte* row, std::int64_t i, std::int64_t m) {
    return V::from_f16(V::halfwords_first(row + 2 * i, m));
  }
};

template <class V>
struct RowBF16 {
  static constexpr std::int64_t kBytes = 2;
  static typename V::F load(const std::byte* row, std::int64_t i) { return V::from_bf16(V::halfwords(row + 2 * i)); }
  static typename V::F load_first(const std::byte* row, std::int64_t i, std::int64_t m) {
    return V::from_bf16(V::halfwords_first(row + 2 * i, m));
  }
};

template <class V>
struct RowF8E4M3 {
  static constexpr std::int64_t kBytes = 1;
  static typename V::F load(const std::byte* row, std::int64_t i) { return V::from_f8e4m3(V::bytes(row + i)); }
  static typename V::F load_first(const std::byte* row, std::int64_t i, std::int64_t m) {
    return V::from_f8e4m3(V::bytes_first(row + i, m));
  }
};

template <class Row, class V>
void decode_plain(const std::byte* row, std::int64_t n, float* out) {
  std::int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) V::store(out + i, Row::load(row, i));
  if (i < n) V::store_first(out + i, Row::load_first(row, i, n - i), n - i);
}

constexpr std::int64_t kCacheGroup = 64;   // numbers that share a scale in an 8-bit cache row
constexpr float kSmallestScaled = 1e-30f;  // smaller groups become zero, as in the scalar definition

inline const float* cache_scales(const std::byte* row, std::int64_t n) {
  return reinterpret_cast<const float*>(row + (n + 3) / 4 * 4);
}

template <class V>
void load_i8(const std::byte* row, std::int64_t n, float* out) {
  const float* scales = cache_scales(row, n);
  for (std::int64_t i = 0; i < n; i += V::kLanes) {
    const std::int64_t m = lanes_left<V>(n - i);
    const auto codes = V::from_i8(V::bytes_first(row + i, m));
    V::store_first(out + i, V::mul(codes, V::set(scales[i / kCacheGroup])), m);
  }
}

template <class V>
void store_i8(const float* x, std::int64_t n, std::byte* out) {
  auto* codes = reinterpret_cast<std::int8_t*>(out);
  for (std::int64_t i = n; i < (n + 3) / 4 * 4; ++i) codes[i] = 0;
  auto* scales = reinterpret_cast<float*>(out + (n + 3) / 4 * 4);
  for (std::int64_t begin = 0; begin < n; begin += kCacheGroup) {
    const std::int64_t end = begin + kCacheGroup < n ? begin + kCacheGroup : n;
    auto largest = V::magnitude(V::zero());
    for (std::int64_t i = begin; i < end; i += V::kLanes)
      largest = V::max_int(largest, V::magnitude(V::load_first(x + i, lanes_left<V>(end - i))));
    const float amax = __builtin_bit_cast(float, V::top_int(largest));
    const bool finite = amax < __builtin_inff();
    const float inverse = finite && amax >= kSmallestScaled ? 127.0f / amax : 0.0f;
    scales[begin / kCacheGroup] = !finite ? __builtin_nanf("") : inverse > 0 ? amax / 127.0f : 0.0f;
    for (std::int64_t i = begin; i < end; i += V::kLanes) {
      const std::int64_t m = lanes_left<V>(end - i);
      V::store_i8(codes + i, inverse > 0 ? V::mul(V::load_first(x + i, m), V::set(inverse)) : V::zero(), m);
    }
  }
}

template <class V>
void store_row(const float* x, std::int64_t n, base::DType type, std::byte* out) {
  if (type == base::DType::kI8) return store_i8<V>(x, n, out);
  for (std::int64_t i = 0; i < n; i += V::kLanes) {
    const std::int64_t m = lanes_left<V>(n - i);
    const auto v = V::load_first(x + i, m);
    if (type == base::DType::kBF16) {
      V::store_bf16(out + 2 * i, v, m);
    } else {
      V::store_first(reinterpret_cast<float*>(out) + i, v, m);
    }
  }
}

template <class V>
void load_row(const std::byte* row, std::int64_t n, base::DType type, float* out) {
  if (type == base::DType::kI8) return load_i8<V>(row, n, out);
  if (type == base::DType::kBF16) return decode_plain<RowBF16<V>, V>(row, n, out);
  decode_plain<RowF32<V>, V>(row, n, out);
}

}  // namespace
}  // namespace fathom::kernels
