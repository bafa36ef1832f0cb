// Sixteen fp32 lanes: what the shared operations (wide_*.h, block_products.h) need of AVX-512. Included by
// table_avx512.cpp alone. Everything is of internal linkage, so that no other object can be linked to code that needs
// these instructions; for the same reason nothing here calls an inline function of another header.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace fathom::kernels {
namespace {

struct Avx512 {
  using F = __m512;
  using I = __m512i;
  static constexpr int kLanes = 16;
  static constexpr int kHeads = 6;        // attention: heads x 4 accumulators, 4 rows and a query: 29 of 32 registers
  static constexpr int kProductRows = 8;  // fp32 products: rows x kProductTokens accumulators
  static constexpr int kProductTokens = 3;
  static constexpr int kBlockRows = 4;  // products of block formats: rows unpacked at once, four registers each

  static __mmask16 first(std::int64_t n) { return static_cast<__mmask16>((1u << n) - 1); }

  static F zero() { return _mm512_setzero_ps(); }
  static F set(float x) { return _mm512_set1_ps(x); }
  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static F load_first(const float* p, std::int64_t n) { return _mm512_maskz_loadu_ps(first(n), p); }
  static void store(float* p, F x) { _mm512_storeu_ps(p, x); }
  static void store_first(float* p, F x, std::int64_t n) { _mm512_mask_storeu_ps(p, first(n), x); }

  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F fnma(F a, F b, F c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a b
  // A NaN in b, not in a, is kept.
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  static F round(F x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  // x 2^n for whole n, subnormal results included.
  static F scale_by_power(F x, F n) { return _mm512_scalef_ps(x, n); }

  // Sums of the lanes of four vectors. The order: within a quarter (0 + 2) + (1 + 3), quarters likewise.
  static __m128 sum4(F a, F b, F c, F d) {
    const F ab = add(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    const F cd = add(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    const __m512d x = _mm512_castps_pd(ab), y = _mm512_castps_pd(cd);
    const F q = add(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)), _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
    const __m256 h = _mm256_add_ps(_mm512_castps512_ps256(q), _mm512_extractf32x8_ps(q, 1));
    return _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  }
  static float sum(F x) { return _mm_cvtss_f32(sum4(x, x, x, x)); }
  static float top(F x) { return _mm512_reduce_max_ps(x); }

  // Bits of |x| as integers: their order is that of the numbers, with infinity and then NaN above.
  static I magnitude(F x) { return _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff)); }
  static I max_int(I a, I b) { return _mm512_max_epi32(a, b); }
  static std::int32_t top_int(I x) { return _mm512_reduce_max_epi32(x); }

  static __m256i halfwords(const std::byte* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static __m256i halfwords_first(const std::byte* p, std::int64_t n) { return _mm256_maskz_loadu_epi16(first(n), p); }
  static __m128i bytes(const std::byte* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
  static __m128i bytes_first(const std::byte* p, std::int64_t n) { return _mm_maskz_loadu_epi8(first(n), p); }

  static F from_bf16(__m256i h) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16)); }
  static F from_f16(__m256i h) { return _mm512_cvtph_ps(h); }
  // E4M3's exponent and mantissa moved into those of a half, whose bias is larger by 8; its NaN is put back by hand.
  static F from_f8e4m3(__m128i b) {
    const __m256i wide = _mm256_slli_epi16(_mm256_cvtepi8_epi16(b), 7);
    const F scaled = _mm512_cvtph_ps(_mm256_and_si256(wide, _mm256_set1_epi16(static_cast<short>(0xbfff))));
    const __mmask16 nan = _mm_cmpeq_epi8_mask(_mm_and_si128(b, _mm_set1_epi8(0x7f)), _mm_set1_epi8(0x7f));
    return _mm512_mask_blend_ps(nan, mul(scaled, set(256.0f)), _mm512_castsi512_ps(_mm512_set1_epi32(0x7fc00000)));
  }
  static F from_i8(__m128i b) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(b)); }
  static F from_u8(__m128i b) { return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(b)); }

  // To the nearest bf16, ties to even; a NaN stays a NaN.
  static void store_bf16(std::byte* p, F x, std::int64_t n) {
    const I u = _mm512_castps_si512(x);
    const I odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    const I rounded = _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd);
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    const I bits = _mm512_mask_or_epi32(rounded, nan, u, _mm512_set1_epi32(0x400000));
    _mm512_mask_cvtepi32_storeu_epi16(p, first(n), _mm512_srli_epi32(bits, 16));
  }
  // Codes to the nearest, ties to even.
  static void store_i8(std::int8_t* p, F x, std::int64_t n) {
    _mm512_mask_cvtsepi32_storeu_epi8(p, first(n), _mm512_cvtps_epi32(x));
  }

  // What block_products.h needs. Lane 4j + i of a chunk belongs to group 4i + j of 16 elements.
  static constexpr int lane_of_group(int g) { return g % 4 * 4 + g / 4; }
  static I zero_int() { return _mm512_setzero_si512(); }
  static I set_int(std::int32_t x) { return _mm512_set1_epi32(x); }
  static I add_int(I a, I b) { return _mm512_add_epi32(a, b); }
  static F as_float(I x) { return _mm512_castsi512_ps(x); }
  static I load_int(const std::int32_t* p) { return _mm512_loadu_si512(p); }
  static F to_float(I x) { return _mm512_cvtepi32_ps(x); }
  template <int kBits>
  static I shift_left(I x) {
    return _mm512_slli_epi32(x, kBits);
  }
  // start + the lanes' dot products of four vectors of unsigned codes with those of the activations.
  template <class Format>
  [[gnu::always_inline]] static I dot(const I* w, const std::int8_t* x, I start) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) start = _mm512_dpbusd_epi32(start, w[k], _mm512_loadu_si512(x + 64 * k));
    return start;
  }
  // x in the lanes of the first blocks of 32, zero in the others.
  static F first_blocks(F x, std::int64_t blocks) {
    const I block = _mm512_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6, 1, 3, 5, 7, 1, 3, 5, 7);
    return _mm512_maskz_mov_ps(_mm512_cmplt_epi32_mask(block, _mm512_set1_epi32(static_cast<int>(blocks))), x);
  }
  // 4 x 4 transposition of dwords: natural order to lane order and back.
  static void transpose(const I* in, I* out) {
    const I a = _mm512_unpacklo_epi32(in[0], in[1]), b = _mm512_unpackhi_epi32(in[0], in[1]);
    const I c = _mm512_unpacklo_epi32(in[2], in[3]), d = _mm512_unpackhi_epi32(in[2], in[3]);
    out[0] = _mm512_unpacklo_epi64(a, c);
    out[1] = _mm512_unpackhi_epi64(a, c);
    out[2] = _mm512_unpacklo_epi64(b, d);
    out[3] = _mm512_unpackhi_epi64(b, d);
  }
  static void store_in_order(const I* codes, std::byte* out) {
    I natural[4];
    transpose(codes, natural);
    for (int k = 0; k < 4; ++k) _mm512_storeu_si512(out + 64 * k, natural[k]);
  }
  // 256 codes in natural order and the scales of their eight blocks, into lane order with the sums of the groups.
  static void finish_packed(const std::int8_t* codes, const float* block_scales, std::int8_t* out, float* scales,
                            std::int32_t* minus_sums) {
    I natural[4], lanes[4];
    for (int k = 0; k < 4; ++k) natural[k] = _mm512_loadu_si512(codes + 64 * k);
    transpose(natural, lanes);
    I sums = zero_int();
    for (int k = 0; k < 4; ++k) {
      sums = _mm512_dpbusd_epi32(sums, _mm512_set1_epi8(1), lanes[k]);
      _mm512_storeu_si512(out + 64 * k, lanes[k]);
    }
    _mm512_storeu_si512(minus_sums, _mm512_sub_epi32(zero_int(), sums));
    const I block = _mm512_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6, 1, 3, 5, 7, 1, 3, 5, 7);
    store(scales, _mm512_permutexvar_ps(block, _mm512_castps256_ps512(_mm256_loadu_ps(block_scales))));
  }

  // (a0, b0, a1, b1, ...) of x times, for each pair: the rotation by the angles of eight cosines and sines.
  static F rotate_pairs(F x, const float* cos, const float* sin, std::int64_t pairs) {
    const __mmask8 m = static_cast<__mmask8>(first(pairs));
    const I twice = _mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
    const F c = _mm512_permutexvar_ps(twice, _mm512_castps256_ps512(_mm256_maskz_loadu_ps(m, cos)));
    const F s = _mm512_permutexvar_ps(twice, _mm512_castps256_ps512(_mm256_maskz_loadu_ps(m, sin)));
    const F swapped = _mm512_permute_ps(x, 0xb1);
    return _mm512_fmaddsub_ps(x, c, mul(swapped, s));
  }
};

}  // namespace
}  // namespace fathom::kernels
