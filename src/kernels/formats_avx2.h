// Block formats unpacked for block_products.h: 128 elements to four vectors of codes in which lane 4h + s belongs to
// half h of the 32 elements s (so that natural order and this order are each other's 4 x 4 transposition). A block of
// 256 is two chunks. Included by table_avx2.cpp alone, like vector_avx2.h.
#pragma once

#include "kernels/block_products.h"
#include "kernels/vector_avx2.h"

namespace fathom::kernels {
namespace {

using base::DType;

inline std::uint16_t read16(const std::uint8_t* p) {
  std::uint16_t v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
inline std::uint32_t read32(const std::uint8_t* p) {
  std::uint32_t v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

inline __m256i bytes32(const std::uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
inline __m128i bytes16(const std::uint8_t* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
inline __m128i bytes8(const std::uint8_t* p) {
  return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
}

inline __m256i low_nibbles(__m256i x) {
  return _mm256_and_si256(x, _mm256_set1_epi8(15));
}
inline __m256i high_nibbles(__m256i x) {
  return low_nibbles(_mm256_srli_epi16(x, 4));
}
inline __m256 half_everywhere(std::uint16_t h) {
  return _mm256_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(h)));
}
inline __m256 twice(__m128 four) {
  return _mm256_set_m128(four, four);
}

// The fp16 at the head (or at an offset from it) of four blocks, for both halves of each.
inline __m256 block_scales(const std::uint8_t* p, int stride) {
  const std::uint64_t halves = read16(p) | static_cast<std::uint64_t>(read16(p + stride)) << 16 |
                               static_cast<std::uint64_t>(read16(p + 2 * stride)) << 32 |
                               static_cast<std::uint64_t>(read16(p + 3 * stride)) << 48;
  return twice(_mm_cvtph_ps(_mm_cvtsi64_si128(static_cast<std::int64_t>(halves))));
}

// Byte j holds elements j (low nibble) and j + 16 (high one).
inline __m256i split_nibbles(const std::uint8_t* qs) {
  const __m128i q = bytes16(qs);
  return low_nibbles(_mm256_set_m128i(_mm_srli_epi16(q, 4), q));
}

// 16 in every byte whose bit is set in a block's word.
inline __m256i fifth_bits(const std::uint8_t* p) {
  const __m256i byte = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
  const __m256i words = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(read32(p))), byte);
  const __m256i bit = _mm256_set1_epi64x(static_cast<std::int64_t>(0x8040201008040201u));
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(words, bit), bit);
  return _mm256_and_si256(set, _mm256_set1_epi8(16));
}

template <int kBytes, int kMax>
struct Blocks32 {
  static constexpr int kBlockElements = 32, kBlockBytes = kBytes, kMaxCode = kMax;
  static constexpr bool kSigned = false;
};

template <>
struct BlockFormat<Avx2, DType::kQ4_0> : Blocks32<18, 15> {
  static constexpr int kOffsetBits = 3;
  static constexpr bool kHasMin = false;
  static void unpack(const std::uint8_t* row, std::int64_t c, Unpacked<Avx2>& out) {
    const std::uint8_t* p = row + c * 4 * kBlockBytes;
    __m256i natural[4];
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) natural[s] = split_nibbles(p + s * kBlockBytes + 2);
    Avx2::transpose(natural, out.codes);
    out.scale = block_scales(p, kBlockBytes);
  }
};

template <>
struct BlockFormat<Avx2, DType::kQ4_1> : Blocks32<20, 15> {
  static constexpr int kOffsetBits = 0;
  static constexpr bool kHasMin = true;
  static void unpack(const std::uint8_t* row, std::int64_t c, Unpacked<Avx2>& out) {
    const std::uint8_t* p = row + c * 4 * kBlockBytes;
    __m256i natural[4];
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) natural[s] = split_nibbles(p + s * kBlockBytes + 4);
    Avx2::transpose(natural, out.codes);
    out.scale = block_scales(p, kBlockBytes);
    out.min = _mm256_sub_ps(_mm256_setzero_ps(), block_scales(p + 2, kBlockBytes));  // y = d q + m
  }
};

template <>
struct BlockFormat<Avx2, DType::kQ5_0> : Blocks32<22, 31> {
  static constexpr int kOffsetBits = 4;
  static constexpr bool kHasMin = false;
  static void unpack(const std::uint8_t* row, std::int64_t c, Unpacked<Avx2>& out) {
    const std::uint8_t* p = row + c * 4 * kBlockBytes;
    __m256i natural[4];
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) {
      const std::uint8_t* block = p + s * kBlockBytes;
      natural[s] = _mm256_or_si256(split_nibbles(block + 6), fifth_bits(block + 2));
    }
    Avx2::transpose(natural, out.codes);
    out.scale = block_scales(p, kBlockBytes);
  }
};

template <>
struct BlockFormat<Avx2, DType::kQ5_1> : Blocks32<24, 31> {
  static constexpr int kOffsetBits = 0;
  static constexpr bool kHasMin = true;
  static void unpack(const std::uint8_t* row, std::int64_t c, Unpacked<Avx2>& out) {
    const std::uint8_t* p = row + c * 4 * kBlockBytes;
    __m256i natural[4];
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) {
      const std::uint8_t* block = p + s * kBlockBytes;
      natural[s] = _mm256_or_si256(split_nibbles(block + 8), fifth_bits(block + 4));
    }
    Avx2::transpose(natural, out.codes);
    out.scale = block_scales(p, kBlockBytes);
    out.min = _mm256_sub_ps(_mm256_setzero_ps(), block_scales(p + 2, kBlockBytes));
  }
};

template <>
struct BlockFormat<Avx2, DType::kQ8_0> {
  static constexpr int kBlockElements = 32, kBlockBytes = 34, kMaxCode = 128, kOffsetBits = 0;
  static constexpr bool kSigned = true, kHasMin = false;
  static void unpack(const std::uint8_t* row, std::int64_t c, Unpacked<Avx2>& out) {
    const std::uint8_t* p = row + c * 4 * kBlockBytes;
    __m256i natural[4];
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) natural[s] = bytes32(p + s * kBlockBytes + 2);
    Avx2::transpose(natural, out.codes);
    out.scale = block_scales(p, kBlockBytes);
  }
};

inline __m256i uneven_steps() {
  return _mm256_broadcastsi128_si256(
      _mm_setr_epi8(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113));
}

template <>
struct BlockFormat<Avx2, DType::kIQ4_NL> {
  static constexpr int kBlockElements = 32, kBlockBytes = 18, kMaxCode = 127, kOffsetBits = 0;
  static constexpr bool kSigned = true, kHasMin = false;
  static void unpack(const std::uint8_t* row, std::int64_t c, Unpacked<Avx2>& out) {
    BlockFormat<Avx2, DType::kQ4_0>::unpack(row, c, out);
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) out.codes[k] = _mm256_shuffle_epi8(uneven_steps(), out.codes[k]);
  }
};

// Twice the E2M1 values plus 16; the exponent byte is that of 2^(e - 128).
template <>
struct BlockFormat<Avx2, DType::kMXFP4> : Blocks32<17, 28> {
  static constexpr int kOffsetBits = 4;
  static constexpr bool kHasMin = false;
  static void unpack(const std::uint8_t* row, std::int64_t c, Unpacked<Avx2>& out) {
    const std::uint8_t* p = row + c * 4 * kBlockBytes;
    const __m256i table =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(16, 17, 18, 19, 20, 22, 24, 28, 16, 15, 14, 13, 12, 10, 8, 4));
    __m256i natural[4];
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) natural[s] = _mm256_shuffle_epi8(table, split_nibbles(p + s * kBlockBytes + 1));
    Avx2::transpose(natural, out.codes);
    const __m128i e = _mm_setr_epi32(p[0], p[kBlockBytes], p[2 * kBlockBytes], p[3 * kBlockBytes]);
    const __m128i normal = _mm_slli_epi32(_mm_sub_epi32(e, _mm_set1_epi32(1)), 23);
    const __m128i subnormal = _mm_sllv_epi32(_mm_set1_epi32(0x00200000), e);
    out.scale = twice(_mm_castsi128_ps(_mm_blendv_epi8(normal, subnormal, _mm_cmpgt_epi32(_mm_set1_epi32(2), e))));
  }
};

template <int kBytes, int kMax>
struct Blocks256 {
  static constexpr int kBlockElements = 256, kBlockBytes = kBytes, kMaxCode = kMax;
  static constexpr bool kSigned = false;
};

// Eight bytes, one for each group in natural order, brought into lane order.
inline __m128i group_bytes(__m128i x) {
  return _mm_shuffle_epi8(x, _mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, -1, -1, -1, -1, -1, -1, -1, -1));
}
inline __m256 group_scales(__m128i signed_bytes) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(group_bytes(signed_bytes)));
}

// Bits `bit` of 32 bytes as bytes of 0 or 1.
inline __m256i plane(__m256i bytes, int bit) {
  return _mm256_and_si256(_mm256_srl_epi16(bytes, _mm_cvtsi32_si128(bit)), _mm256_set1_epi8(1));
}
// Bit pairs at `bit` of 32 bytes.
inline __m256i pairs(__m256i bytes, int bit) {
  return _mm256_and_si256(_mm256_srl_epi16(bytes, _mm_cvtsi32_si128(bit)), _mm256_set1_epi8(3));
}

template <>
struct BlockFormat<Avx2, DType::kQ2_K> : Blocks256<84, 3> {
  static constexpr int kOffsetBits = 0;
  static constexpr bool kHasMin = true;
  static void unpack(const std::uint8_t* row, std::int64_t c, Unpacked<Avx2>& out) {
    const std::uint8_t* p = row + c / 2 * kBlockBytes;
    const __m256i qs = bytes32(p + 16 + c % 2 * 32);
    __m256i natural[4];
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) natural[s] = pairs(qs, 2 * s);
    Avx2::transpose(natural, out.codes);
    const __m128i both = bytes8(p + c % 2 * 8), nibble = _mm_set1_epi8(15);
    out.scale = _mm256_mul_ps(group_scales(_mm_and_si128(both, nibble)), half_everywhere(read16(p + 80)));
    out.min =
        _mm256_mul_ps(group_scales(_mm_and_si128(_mm_srli_epi16(both, 4), nibble)), half_everywhere(read16(p + 82)));
  }
};

template <>
struct BlockFormat<Avx2, DType::kQ3_K> : Blocks256<110, 7> {
  static constexpr int kOffsetBits = 2;
  static constexpr bool kHasMin = false;
  static void unpack(const std::uint8_t* row, std::int64_t c, Unpacked<Avx2>& out) {
    const std::uint8_t* p = row + c / 2 * kBlockBytes;
    const int half = static_cast<int>(c % 2);
    const __m256i high = bytes32(p), qs = bytes32(p + 32 + half * 32);
    __m256i natural[4];
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s)
      natural[s] = _mm256_or_si256(pairs(qs, 2 * s), _mm256_slli_epi16(plane(high, 4 * half + s), 2));
    Avx2::transpose(natural, out.codes);
    const __m128i low = _mm_and_si128(_mm_srl_epi16(bytes8(p + 96), _mm_cvtsi32_si128(4 * half)), _mm_set1_epi8(15));
    const std::uint32_t upper = read32(p + 104) >> 4 * half;
    const __m128i top =
        _mm_setr_epi32(static_cast<int>(upper & 0x03030303u), static_cast<int>(upper >> 2 & 0x03030303u), 0, 0);
    const __m128i six = _mm_sub_epi8(_mm_or_si128(low, _mm_slli_epi16(top, 4)), _mm_set1_epi8(32));
    out.scale = _mm256_mul_ps(group_scales(six), half_everywhere(read16(p + 108)));
  }
};

// The head that Q4_K and Q5_K share: h d; h dmin; eight pairs of 6-bit scale and minimum in 12 bytes, four a chunk.
inline void six_bit_pairs(const std::uint8_t* p, std::int64_t half, Unpacked<Avx2>& out) {
  const std::uint32_t a = read32(p + 4), b = read32(p + 8), c = read32(p + 12);
  const std::uint32_t scales = half ? (c & 0x0f0f0f0f) | (a >> 2 & 0x30303030) : a & 0x3f3f3f3f;
  const std::uint32_t mins = half ? (c >> 4 & 0x0f0f0f0f) | (b >> 2 & 0x30303030) : b & 0x3f3f3f3f;
  const __m128 scale = _mm_cvtepi32_ps(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(static_cast<int>(scales))));
  const __m128 min = _mm_cvtepi32_ps(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(static_cast<int>(mins))));
  out.scale = _mm256_mul_ps(twice(scale), half_everywhere(read16(p)));
  out.min = _mm256_mul_ps(twice(min), half_everywhere(read16(p + 2)));
}

template <>
struct BlockFormat<Avx2, DType::kQ4_K> : Blocks256<144, 15> {
  static constexpr int kOffsetBits = 0;
  static constexpr bool kHasMin = true;
  static void unpack(const std::uint8_t* row, std::int64_t c, Unpacked<Avx2>& out) {
    const std::uint8_t* p = row + c / 2 * kBlockBytes;
    const __m256i a = bytes32(p + 16 + c % 2 * 64), b = bytes32(p + 48 + c % 2 * 64);
    const __m256i natural[4] = {low_nibbles(a), high_nibbles(a), low_nibbles(b), high_nibbles(b)};
    Avx2::transpose(natural, out.codes);
    six_bit_pairs(p, c % 2, out);
  }
};

template <>
struct BlockFormat<Avx2, DType::kQ5_K> : Blocks256<176, 31> {
  static constexpr int kOffsetBits = 0;
  static constexpr bool kHasMin = true;
  static void unpack(const std::uint8_t* row, std::int64_t c, Unpacked<Avx2>& out) {
    const std::uint8_t* p = row + c / 2 * kBlockBytes;
    const __m256i a = bytes32(p + 48 + c % 2 * 64), b = bytes32(p + 80 + c % 2 * 64), high = bytes32(p + 16);
    __m256i natural[4] = {low_nibbles(a), high_nibbles(a), low_nibbles(b), high_nibbles(b)};
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) {
      const __m256i fifth = plane(high, static_cast<int>(c % 2) * 4 + s);
      natural[s] = _mm256_or_si256(natural[s], _mm256_slli_epi16(fifth, 4));
    }
    Avx2::transpose(natural, out.codes);
    six_bit_pairs(p, c % 2, out);
  }
};

template <>
struct BlockFormat<Avx2, DType::kQ6_K> : Blocks256<210, 63> {
  static constexpr int kOffsetBits = 5;
  static constexpr bool kHasMin = false;
  static void unpack(const std::uint8_t* row, std::int64_t c, Unpacked<Avx2>& out) {
    const std::uint8_t* p = row + c / 2 * kBlockBytes;
    const std::int64_t half = c % 2;
    const __m256i a = bytes32(p + 64 * half), b = bytes32(p + 64 * half + 32), high = bytes32(p + 128 + 32 * half);
    __m256i natural[4] = {low_nibbles(a), low_nibbles(b), high_nibbles(a), high_nibbles(b)};
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) natural[s] = _mm256_or_si256(natural[s], _mm256_slli_epi16(pairs(high, 2 * s), 4));
    Avx2::transpose(natural, out.codes);
    out.scale = _mm256_mul_ps(group_scales(bytes8(p + 192 + 8 * half)), half_everywhere(read16(p + 208)));
  }
};

template <>
struct BlockFormat<Avx2, DType::kIQ4_XS> {
  static constexpr int kBlockElements = 256, kBlockBytes = 136, kMaxCode = 127, kOffsetBits = 0;
  static constexpr bool kSigned = true, kHasMin = false;
  static void unpack(const std::uint8_t* row, std::int64_t c, Unpacked<Avx2>& out) {
    const std::uint8_t* p = row + c / 2 * kBlockBytes;
    const std::int64_t half = c % 2;
    __m256i natural[4];
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s)
      natural[s] = _mm256_shuffle_epi8(uneven_steps(), split_nibbles(p + 8 + 64 * half + 16 * s));
    Avx2::transpose(natural, out.codes);
    const __m128i low = _mm_srlv_epi32(_mm_set1_epi32(read16(p + 4 + 2 * half)), _mm_setr_epi32(0, 4, 8, 12));
    const __m128i high = _mm_srlv_epi32(_mm_set1_epi32(read16(p + 2) >> 8 * half), _mm_setr_epi32(0, 2, 4, 6));
    const __m128i six =
        _mm_or_si128(_mm_and_si128(low, _mm_set1_epi32(15)), _mm_slli_epi32(_mm_and_si128(high, _mm_set1_epi32(3)), 4));
    const __m128 scale = _mm_cvtepi32_ps(_mm_sub_epi32(six, _mm_set1_epi32(32)));
    out.scale = _mm256_mul_ps(twice(scale), half_everywhere(read16(p)));
  }
};

}  // namespace
}  // namespace fathom::kernels
