// Eight fp32 lanes: what the shared operations (wide_*.h, block_products.h) need of AVX2, FMA and F16C. Included by
// table_avx2.cpp alone. Everything is of internal linkage, so that no other object can be linked to code that needs
// these instructions; for the same reason nothing here calls an inline function of another header.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace fathom::kernels {
namespace {

// Eight ones and eight zeros: the mask of the first n lanes begins 8 - n before the zeros.
constexpr std::int32_t kFirstLanes[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};

struct Avx2 {
  using F = __m256;
  using I = __m256i;
  static constexpr int kLanes = 8;
  static constexpr int kHeads = 2;        // attention: heads x 4 accumulators, 4 rows and a query: 13 of 16 registers
  static constexpr int kProductRows = 4;  // fp32 products: rows x kProductTokens accumulators
  static constexpr int kProductTokens = 3;
  static constexpr int kBlockRows = 2;  // products of block formats: rows unpacked at once, four registers each

  static I first(std::int64_t n) { return _mm256_loadu_si256(reinterpret_cast<const I*>(kFirstLanes + 8 - n)); }

  static F zero() { return _mm256_setzero_ps(); }
  static F set(float x) { return _mm256_set1_ps(x); }
  static F load(const float* p) { return _mm256_loadu_ps(p); }
  static F load_first(const float* p, std::int64_t n) { return _mm256_maskload_ps(p, first(n)); }
  static void store(float* p, F x) { _mm256_storeu_ps(p, x); }
  static void store_first(float* p, F x, std::int64_t n) { _mm256_maskstore_ps(p, first(n), x); }

  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F div(F a, F b) { return _mm256_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static F fnma(F a, F b, F c) { return _mm256_fnmadd_ps(a, b, c); }  // c - a b
  // A NaN in b, not in a, is kept.
  static F max(F a, F b) { return _mm256_max_ps(a, b); }
  static F min(F a, F b) { return _mm256_min_ps(a, b); }
  static F round(F x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  // x 2^n for whole n between -250 and 250, in two steps so that neither power overflows; subnormal results included.
  static F scale_by_power(F x, F n) {
    const I whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1), bias = _mm256_set1_epi32(127);
    const I rest = _mm256_sub_epi32(whole, half);
    const F a = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
    const F b = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23));
    return mul(mul(x, a), b);
  }

  // Sums of the lanes of four vectors. The order: within a half (0 + 2) + (1 + 3), then the halves.
  static __m128 sum4(F a, F b, F c, F d) {
    const F ab = add(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    const F cd = add(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
    const __m256d x = _mm256_castps_pd(ab), y = _mm256_castps_pd(cd);
    const F h = add(_mm256_castpd_ps(_mm256_unpacklo_pd(x, y)), _mm256_castpd_ps(_mm256_unpackhi_pd(x, y)));
    return _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  }
  static float sum(F x) { return _mm_cvtss_f32(sum4(x, x, x, x)); }
  static float top(F x) {
    const __m128 h = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 q = _mm_max_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
  }

  // Bits of |x| as integers: their order is that of the numbers, with infinity and then NaN above.
  static I magnitude(F x) { return _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffffff)); }
  static I max_int(I a, I b) { return _mm256_max_epi32(a, b); }
  static std::int32_t top_int(I x) {
    const __m128i h = _mm_max_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    const __m128i q = _mm_max_epi32(h, _mm_shuffle_epi32(h, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(q, _mm_shuffle_epi32(q, 0xb1)));
  }

  static __m128i halfwords(const std::byte* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
  static __m128i halfwords_first(const std::byte* p, std::int64_t n) {
    std::byte b[16] = {};
    __builtin_memcpy(b, p, static_cast<std::size_t>(2 * n));
    return halfwords(b);
  }
  static __m128i bytes(const std::byte* p) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)); }
  static __m128i bytes_first(const std::byte* p, std::int64_t n) {
    std::byte b[8] = {};
    __builtin_memcpy(b, p, static_cast<std::size_t>(n));
    return bytes(b);
  }

  static F from_bf16(__m128i h) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16)); }
  static F from_f16(__m128i h) { return _mm256_cvtph_ps(h); }
  // E4M3's exponent and mantissa moved into those of a half, whose bias is larger by 8; its NaN is put back by hand.
  static F from_f8e4m3(__m128i b) {
    const __m128i wide = _mm_slli_epi16(_mm_cvtepi8_epi16(b), 7);
    const F scaled = _mm256_cvtph_ps(_mm_and_si128(wide, _mm_set1_epi16(static_cast<short>(0xbfff))));
    const __m128i nan = _mm_cmpeq_epi8(_mm_and_si128(b, _mm_set1_epi8(0x7f)), _mm_set1_epi8(0x7f));
    return _mm256_blendv_ps(mul(scaled, set(256.0f)), _mm256_castsi256_ps(_mm256_set1_epi32(0x7fc00000)),
                            _mm256_castsi256_ps(_mm256_cvtepi8_epi32(nan)));
  }
  static F from_i8(__m128i b) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(b)); }
  static F from_u8(__m128i b) { return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(b)); }

  // To the nearest bf16, ties to even; a NaN stays a NaN.
  static void store_bf16(std::byte* p, F x, std::int64_t n) {
    const I u = _mm256_castps_si256(x);
    const I odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    const I rounded = _mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), odd);
    const I nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const I bits = _mm256_blendv_epi8(rounded, _mm256_or_si256(u, _mm256_set1_epi32(0x400000)), nan);
    const I halves = _mm256_srli_epi32(bits, 16);
    const __m128i packed = _mm_packus_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
    std::byte b[16];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(b), packed);
    __builtin_memcpy(p, b, static_cast<std::size_t>(2 * n));
  }
  // Codes to the nearest, ties to even.
  static void store_i8(std::int8_t* p, F x, std::int64_t n) {
    const I whole = _mm256_cvtps_epi32(x);
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    std::int8_t b[8];
    _mm_storel_epi64(reinterpret_cast<__m128i*>(b), _mm_packs_epi16(words, words));
    __builtin_memcpy(p, b, static_cast<std::size_t>(n));
  }

  // (a0, b0, a1, b1, ...) of x times, for each pair: the rotation by the angles of four cosines and sines.
  static F rotate_pairs(F x, const float* cos, const float* sin, std::int64_t pairs) {
    const __m128i m = _mm256_castsi256_si128(first(pairs));
    const I twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    const F c = _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_maskload_ps(cos, m)), twice);
    const F s = _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_maskload_ps(sin, m)), twice);
    return _mm256_fmaddsub_ps(x, c, mul(_mm256_permute_ps(x, 0xb1), s));
  }

  // What block_products.h needs. Lane 4h + s of a chunk belongs to group 2s + h of 16 elements.
  static constexpr int lane_of_group(int g) { return g % 2 * 4 + g / 2; }
  static I zero_int() { return _mm256_setzero_si256(); }
  static I set_int(std::int32_t x) { return _mm256_set1_epi32(x); }
  static I add_int(I a, I b) { return _mm256_add_epi32(a, b); }
  static F as_float(I x) { return _mm256_castsi256_ps(x); }
  static I load_int(const std::int32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const I*>(p)); }
  static F to_float(I x) { return _mm256_cvtepi32_ps(x); }
  template <int kBits>
  static I shift_left(I x) {
    return _mm256_slli_epi32(x, kBits);
  }
  static I add_pairs(I x) { return _mm256_madd_epi16(x, _mm256_set1_epi16(1)); }
  // start + the lanes' dot products of four vectors of codes with those of the activations (at most 127 in size). A
  // 16-bit sum holds two products of 128 * 127; of smaller codes it holds as many more as kMaxCode allows.
  template <class Format>
  [[gnu::always_inline]] static I dot(const I* w, const std::int8_t* x, I start) {
    constexpr int kHeld = 32767 / (2 * 127 * Format::kMaxCode);
    static_assert(kHeld >= 1);
    I p[4];
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      const I codes = _mm256_loadu_si256(reinterpret_cast<const I*>(x + 32 * k));
      p[k] = Format::kSigned ? _mm256_maddubs_epi16(_mm256_abs_epi8(w[k]), _mm256_sign_epi8(codes, w[k]))
                             : _mm256_maddubs_epi16(w[k], codes);
    }
    if constexpr (kHeld >= 4) {
      const I all = _mm256_add_epi16(_mm256_add_epi16(p[0], p[1]), _mm256_add_epi16(p[2], p[3]));
      return _mm256_add_epi32(start, add_pairs(all));
    } else if constexpr (kHeld >= 2) {
      const I a = add_pairs(_mm256_add_epi16(p[0], p[1])), b = add_pairs(_mm256_add_epi16(p[2], p[3]));
      return _mm256_add_epi32(start, _mm256_add_epi32(a, b));
    } else {
      const I a = _mm256_add_epi32(add_pairs(p[0]), add_pairs(p[1]));
      const I b = _mm256_add_epi32(add_pairs(p[2]), add_pairs(p[3]));
      return _mm256_add_epi32(start, _mm256_add_epi32(a, b));
    }
  }
  // x in the lanes of the first blocks of 32, zero in the others.
  static F first_blocks(F x, std::int64_t blocks) {
    const I block = _mm256_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3);
    const I kept = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(blocks)), block);
    return _mm256_and_ps(_mm256_castsi256_ps(kept), x);
  }
  // 4 x 4 transposition of dwords: natural order to lane order and back.
  static void transpose(const I* in, I* out) {
    const I a = _mm256_unpacklo_epi32(in[0], in[1]), b = _mm256_unpackhi_epi32(in[0], in[1]);
    const I c = _mm256_unpacklo_epi32(in[2], in[3]), d = _mm256_unpackhi_epi32(in[2], in[3]);
    out[0] = _mm256_unpacklo_epi64(a, c);
    out[1] = _mm256_unpackhi_epi64(a, c);
    out[2] = _mm256_unpacklo_epi64(b, d);
    out[3] = _mm256_unpackhi_epi64(b, d);
  }
  static void store_in_order(const I* codes, std::byte* out) {
    I natural[4];
    transpose(codes, natural);
    for (int k = 0; k < 4; ++k) _mm256_storeu_si256(reinterpret_cast<I*>(out + 32 * k), natural[k]);
  }
  // 128 codes in natural order and the scales of their four blocks, into lane order with the sums of the groups.
  static void finish_packed(const std::int8_t* codes, const float* block_scales, std::int8_t* out, float* scales,
                            std::int32_t* minus_sums) {
    I natural[4], lanes[4], sums = zero_int();
    for (int k = 0; k < 4; ++k) natural[k] = _mm256_loadu_si256(reinterpret_cast<const I*>(codes + 32 * k));
    transpose(natural, lanes);
    for (int k = 0; k < 4; ++k) {
      sums = _mm256_add_epi32(sums, add_pairs(_mm256_maddubs_epi16(_mm256_set1_epi8(1), lanes[k])));
      _mm256_storeu_si256(reinterpret_cast<I*>(out + 32 * k), lanes[k]);
    }
    _mm256_storeu_si256(reinterpret_cast<I*>(minus_sums), _mm256_sub_epi32(zero_int(), sums));
    const __m128 four = _mm_loadu_ps(block_scales);
    store(scales, _mm256_set_m128(four, four));
  }
};

}  // namespace
}  // namespace fathom::kernels
