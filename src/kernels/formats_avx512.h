// Block formats unpacked for block_products.h: 256 elements to four vectors of unsigned codes in which lane 4j + i
// belongs to group 4i + j of 16 elements (so that natural order and this order are each other's 4 x 4 transposition).
// Included by table_avx512.cpp alone, like vector_avx512.h.
#pragma once

#include "kernels/block_products.h"
#include "kernels/vector_avx512.h"

namespace fathom::kernels {
namespace {

using base::DType;

struct alignas(64) LaneNumbers {
  std::int32_t at[16];
};

// f(g) for the group g of each lane.
template <class F>
consteval LaneNumbers by_group(F f) {
  LaneNumbers n{};
  for (int lane = 0; lane < 16; ++lane) n.at[lane] = f(4 * (lane % 4) + lane / 4);
  return n;
}

inline __m512i numbers(const LaneNumbers& n) {
  return _mm512_load_si512(n.at);
}

constexpr LaneNumbers kBlockOfGroup = by_group([](int g) { return g / 2; });
constexpr LaneNumbers kSecondOfPair = by_group([](int g) { return 8 + g / 2; });

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
inline std::uint64_t read64(const std::uint8_t* p) {
  std::uint64_t v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

inline __m512i bytes64(const std::uint8_t* p) {
  return _mm512_loadu_si512(p);
}
inline __m256i bytes32(const std::uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
inline __m128i bytes16(const std::uint8_t* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}

inline __m512i low_nibbles(__m512i x) {
  return _mm512_and_si512(x, _mm512_set1_epi8(15));
}
// a | (b & mask), byte by byte.
inline __m512i or_masked(__m512i a, __m512i b, int mask) {
  return _mm512_ternarylogic_epi32(a, b, _mm512_set1_epi8(static_cast<char>(mask)), 0xf8);
}

inline __m512 half_everywhere(std::uint16_t h) {
  return _mm512_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(h)));
}

// What the eight scales of a chunk of 32-element blocks are: an fp16 at the head of each block.
inline __m512 block_scales(const std::uint8_t* p, int stride) {
  std::uint64_t halves[2];
#pragma GCC unroll 2
  for (int k = 0; k < 2; ++k) {
    const std::uint8_t* q = p + 4 * k * stride;
    halves[k] = read16(q) | static_cast<std::uint64_t>(read16(q + stride)) << 16 |
                static_cast<std::uint64_t>(read16(q + 2 * stride)) << 32 |
                static_cast<std::uint64_t>(read16(q + 3 * stride)) << 48;
  }
  const __m128i h = _mm_set_epi64x(static_cast<std::int64_t>(halves[1]), static_cast<std::int64_t>(halves[0]));
  return _mm512_permutexvar_ps(numbers(kBlockOfGroup), _mm512_castps256_ps512(_mm256_cvtph_ps(h)));
}

// Sixteen nibble bytes of each of four blocks.
inline __m512i four_blocks(const std::uint8_t* p, int stride) {
  __m512i v = _mm512_castsi128_si512(bytes16(p));
  v = _mm512_mask_broadcast_i32x4(v, 0x00f0, bytes16(p + stride));
  v = _mm512_mask_broadcast_i32x4(v, 0x0f00, bytes16(p + 2 * stride));
  return _mm512_mask_broadcast_i32x4(v, 0xf000, bytes16(p + 3 * stride));
}

// Blocks of 32 with byte j holding elements j (low) and j + 16 (high): group 2b takes low nibbles of block b, 2b + 1
// high ones. a and b hold the sixteen bytes of blocks 0 .. 3 and 4 .. 7. Bits above the nibble are left in place.
inline void spread_nibbles(__m512i a, __m512i b, __m512i* out) {
  static constexpr LaneNumbers kShift = by_group([](int g) { return 4 * (g % 2); });
  static constexpr LaneNumbers kIndex[4] = {
      by_group([](int g) { return 4 * (g / 2); }), by_group([](int g) { return 4 * (g / 2) + 1; }),
      by_group([](int g) { return 4 * (g / 2) + 2; }), by_group([](int g) { return 4 * (g / 2) + 3; })};
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k)
    out[k] = low_nibbles(_mm512_srlv_epi32(_mm512_permutex2var_epi32(a, numbers(kIndex[k]), b), numbers(kShift)));
}

// The fifth bits of 5-bit blocks, of which each block has a word: its bit j belongs to element j.
inline void add_fifth_bits(__m256i words, __m512i* codes) {
  static constexpr LaneNumbers kShift = by_group([](int g) { return 16 * (g % 2); });
  const __m512i lanes = _mm512_permutexvar_epi32(numbers(kBlockOfGroup), _mm512_castsi256_si512(words));
  const __m512i bits = _mm512_srlv_epi32(lanes, numbers(kShift));  // the group's sixteen bits
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k) {
    // Bytes of vector k are elements 4k .. 4k + 3: bits of byte k / 2.
    const __m512i where = _mm512_add_epi8(_mm512_set4_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0),
                                          _mm512_set1_epi8(static_cast<char>(k / 2)));
    const __m512i pick = _mm512_set1_epi32(k % 2 ? static_cast<int>(0x80402010) : 0x08040201);
    const __mmask64 set = _mm512_test_epi8_mask(_mm512_shuffle_epi8(bits, where), pick);
    codes[k] = _mm512_mask_add_epi8(codes[k], set, codes[k], _mm512_set1_epi8(16));
  }
}

// Formats without an offset need not move high nibbles down: a lane that takes them keeps them where they are, worth 16
// times as much, and its scale is divided by 16, both exactly. kHigh(g) says which groups those are.
constexpr bool high_in_pair(int g) {
  return g % 2 == 1;
}
constexpr bool high_in_four(int g) {
  return g % 4 >= 2;
}
template <bool (*kHigh)(int)>
struct NibblesInPlace {
  static __m512i keep(__m512i bytes) {
    static constexpr LaneNumbers kMask =
        by_group([](int g) { return static_cast<std::int32_t>(kHigh(g) ? 0xf0f0f0f0u : 0x0f0f0f0fu); });
    return _mm512_and_si512(bytes, numbers(kMask));
  }
  static __m512 scale(__m512 x) {
    static constexpr LaneNumbers kFactor = by_group([](int g) { return kHigh(g) ? 0x3d800000 : 0x3f800000; });
    return _mm512_mul_ps(x, _mm512_castsi512_ps(numbers(kFactor)));
  }
};

template <int kBytes>
struct Blocks32 {
  static constexpr int kBlockElements = 32, kBlockBytes = kBytes;
  static constexpr bool kSigned = false;
};

template <>
struct BlockFormat<Avx512, DType::kQ4_0> : Blocks32<18> {
  static constexpr int kOffsetBits = 3;
  static constexpr bool kHasMin = false;
  static void unpack(const std::uint8_t* row, std::int64_t c, Unpacked<Avx512>& out) {
    const std::uint8_t* p = row + c * 8 * kBlockBytes;
    spread_nibbles(four_blocks(p + 2, kBlockBytes), four_blocks(p + 2 + 4 * kBlockBytes, kBlockBytes), out.codes);
    out.scale = block_scales(p, kBlockBytes);
  }
};

template <>
struct BlockFormat<Avx512, DType::kQ5_0> : Blocks32<22> {
  static constexpr int kOffsetBits = 4;
  static constexpr bool kHasMin = false;
  static void unpack(const std::uint8_t* row, std::int64_t c, Unpacked<Avx512>& out) {
    const std::uint8_t* p = row + c * 8 * kBlockBytes;
    spread_nibbles(four_blocks(p + 6, kBlockBytes), four_blocks(p + 6 + 4 * kBlockBytes, kBlockBytes), out.codes);
    const auto word = [p](int b) { return static_cast<int>(read32(p + b * kBlockBytes + 2)); };
    add_fifth_bits(_mm256_setr_epi32(word(0), word(1), word(2), word(3), word(4), word(5), word(6), word(7)),
                   out.codes);
    out.scale = block_scales(p, kBlockBytes);
  }
};

// Scale and minimum of eight blocks that begin with both; pairs: the first dword of each block.
inline void scale_and_minimum(__m256i pairs, Unpacked<Avx512>& out) {
  static constexpr LaneNumbers kScale = by_group([](int g) { return g / 2 * 2; });
  static constexpr LaneNumbers kMin = by_group([](int g) { return g / 2 * 2 + 1; });
  const __m512 both = _mm512_cvtph_ps(pairs);
  out.scale = _mm512_permutexvar_ps(numbers(kScale), both);
  // y = d q + m, where the products subtract.
  out.min = _mm512_sub_ps(_mm512_setzero_ps(), _mm512_permutexvar_ps(numbers(kMin), both));
}

// Blocks of five dwords: a load of sixteen dwords that starts at dword k of a block meets dword k of the next three
// blocks too, at 5, 10 and 15. The last such load ends exactly where the eighth block does.
template <>
struct BlockFormat<Avx512, DType::kQ4_1> : Blocks32<20> {
  static constexpr int kOffsetBits = 0;
  static constexpr bool kHasMin = true;
  static void unpack(const std::uint8_t* row, std::int64_t c, Unpacked<Avx512>& out) {
    const std::uint8_t* p = row + c * 8 * kBlockBytes;
    static constexpr LaneNumbers kIndex = by_group([](int g) { return g / 8 * 16 + g % 8 / 2 * 5; });
    using Nibbles = NibblesInPlace<high_in_pair>;
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      const __m512i a = bytes64(p + 4 + 4 * k), b = bytes64(p + 4 * kBlockBytes + 4 + 4 * k);
      out.codes[k] = Nibbles::keep(_mm512_permutex2var_epi32(a, numbers(kIndex), b));
    }
    const __m256i heads = _mm256_set_epi32(31, 26, 21, 16, 15, 10, 5, 0);
    const __m512i pairs =
        _mm512_permutex2var_epi32(bytes64(p), _mm512_castsi256_si512(heads), bytes64(p + 4 * kBlockBytes));
    scale_and_minimum(_mm512_castsi512_si256(pairs), out);
    out.scale = Nibbles::scale(out.scale);
  }
};

// Blocks of six dwords: d and m are the first, the fifth bits the second, the nibbles the others.
template <>
struct BlockFormat<Avx512, DType::kQ5_1> : Blocks32<24> {
  static constexpr int kOffsetBits = 0;
  static constexpr bool kHasMin = true;
  // Dword k of each of the eight blocks, six of which begin in the first 128 bytes.
  static __m256i dwords(__m512i a, __m512i b, __m512i c, int k) {
    const __m256i in_ab = _mm256_setr_epi32(k, k + 6, k + 12, k + 18, k + 24, k + 30, 0, 0);
    const __m256i in_c = _mm256_setr_epi32(0, 0, 0, 0, 0, 0, k + 4, k + 10);
    const __m512i six = _mm512_permutex2var_epi32(a, _mm512_castsi256_si512(in_ab), b);
    const __m512i two = _mm512_permutexvar_epi32(_mm512_castsi256_si512(in_c), c);
    return _mm256_blend_epi32(_mm512_castsi512_si256(six), _mm512_castsi512_si256(two), 0xc0);
  }
  static void unpack(const std::uint8_t* row, std::int64_t c, Unpacked<Avx512>& out) {
    const std::uint8_t* p = row + c * 8 * kBlockBytes;
    spread_nibbles(four_blocks(p + 8, kBlockBytes), four_blocks(p + 8 + 4 * kBlockBytes, kBlockBytes), out.codes);
    const __m512i x = bytes64(p), y = bytes64(p + 64), z = bytes64(p + 128);
    add_fifth_bits(dwords(x, y, z, 1), out.codes);
    scale_and_minimum(dwords(x, y, z, 0), out);
  }
};

template <>
struct BlockFormat<Avx512, DType::kQ8_0> : Blocks32<34> {
  static constexpr int kOffsetBits = 7;
  static constexpr bool kHasMin = false;
  static void unpack(const std::uint8_t* row, std::int64_t c, Unpacked<Avx512>& out) {
    const std::uint8_t* p = row + c * 8 * kBlockBytes;
    const __m512i flip = _mm512_set1_epi8(static_cast<char>(0x80));
    __m512i natural[4];
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      const std::uint8_t* q = p + 2 * k * kBlockBytes + 2;
      const __m512i two = _mm512_inserti64x4(_mm512_castsi256_si512(bytes32(q)), bytes32(q + kBlockBytes), 1);
      natural[k] = _mm512_xor_si512(two, flip);
    }
    Avx512::transpose(natural, out.codes);
    out.scale = block_scales(p, kBlockBytes);
  }
};

inline void look_up(__m512i table, __m512i* codes) {
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k) codes[k] = _mm512_shuffle_epi8(table, codes[k]);
}

// The uneven steps of IQ4 plus 128.
inline __m512i uneven_steps() {
  return _mm512_broadcast_i32x4(_mm_setr_epi8(1, 24, 45, 63, 79, 93, 106, 118, static_cast<char>(129),
                                              static_cast<char>(141), static_cast<char>(153), static_cast<char>(166),
                                              static_cast<char>(181), static_cast<char>(197), static_cast<char>(217),
                                              static_cast<char>(241)));
}

template <>
struct BlockFormat<Avx512, DType::kIQ4_NL> : Blocks32<18> {
  static constexpr int kOffsetBits = 7;
  static constexpr bool kHasMin = false;
  static void unpack(const std::uint8_t* row, std::int64_t c, Unpacked<Avx512>& out) {
    BlockFormat<Avx512, DType::kQ4_0>::unpack(row, c, out);
    look_up(uneven_steps(), out.codes);
  }
};

// Twice the E2M1 values plus 16; the exponent byte is that of 2^(e - 128).
template <>
struct BlockFormat<Avx512, DType::kMXFP4> : Blocks32<17> {
  static constexpr int kOffsetBits = 4;
  static constexpr bool kHasMin = false;
  static void unpack(const std::uint8_t* row, std::int64_t c, Unpacked<Avx512>& out) {
    const std::uint8_t* p = row + c * 8 * kBlockBytes;
    spread_nibbles(four_blocks(p + 1, kBlockBytes), four_blocks(p + 1 + 4 * kBlockBytes, kBlockBytes), out.codes);
    look_up(_mm512_broadcast_i32x4(_mm_setr_epi8(16, 17, 18, 19, 20, 22, 24, 28, 16, 15, 14, 13, 12, 10, 8, 4)),
            out.codes);
    std::uint64_t exponents = 0;
#pragma GCC unroll 8
    for (int b = 0; b < 8; ++b) exponents |= static_cast<std::uint64_t>(p[b * kBlockBytes]) << 8 * b;
    const __m256i e = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<std::int64_t>(exponents)));
    const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
    const __m256i subnormal = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
    const __m256i bits = _mm256_blendv_epi8(normal, subnormal, _mm256_cmpgt_epi32(_mm256_set1_epi32(2), e));
    out.scale = _mm512_castsi512_ps(_mm512_permutexvar_epi32(numbers(kBlockOfGroup), _mm512_castsi256_si512(bits)));
  }
};

template <int kBytes>
struct Blocks256 {
  static constexpr int kBlockElements = 256, kBlockBytes = kBytes;
  static constexpr bool kSigned = false;
};

// Sixteen bytes, one for each group in natural order, brought into lane order.
inline __m128i group_bytes(__m128i x) {
  return _mm_shuffle_epi8(x, _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
}

// The two-bit planes of Q2_K and Q3_K: in each half of 128, groups 2s and 2s + 1 take bits 2s of bytes 0 .. 31.
inline void spread_pairs(__m512i qs, __m512i* out) {
  static constexpr LaneNumbers kShift = by_group([](int g) { return g % 8 / 2 * 2; });
  static constexpr LaneNumbers kIndex = by_group([](int g) { return g / 8 * 8 + g % 2 * 4; });
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k) {
    const __m512i dwords = _mm512_permutexvar_epi32(_mm512_add_epi32(numbers(kIndex), _mm512_set1_epi32(k)), qs);
    out[k] = _mm512_and_si512(_mm512_srlv_epi32(dwords, numbers(kShift)), _mm512_set1_epi8(3));
  }
}

// One bit plane of 32 bytes: group g takes bit g / 2 of bytes 16 (g mod 2) .. , which is added to codes at `bit`.
template <int kBit>
inline void add_plane(const std::uint8_t* plane, __m512i* codes) {
  static constexpr LaneNumbers kRotate = by_group([](int g) { return (kBit - g / 2) & 31; });
  static constexpr LaneNumbers kIndex = by_group([](int g) { return g % 2 * 4; });
  const __m512i bits = _mm512_castsi256_si512(bytes32(plane));
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k) {
    const __m512i dwords = _mm512_permutexvar_epi32(_mm512_add_epi32(numbers(kIndex), _mm512_set1_epi32(k)), bits);
    codes[k] = or_masked(codes[k], _mm512_rolv_epi32(dwords, numbers(kRotate)), 1 << kBit);
  }
}

template <>
struct BlockFormat<Avx512, DType::kQ2_K> : Blocks256<84> {
  static constexpr int kOffsetBits = 0;
  static constexpr bool kHasMin = true;
  static void unpack(const std::uint8_t* row, std::int64_t c, Unpacked<Avx512>& out) {
    const std::uint8_t* p = row + c * kBlockBytes;
    spread_pairs(bytes64(p + 16), out.codes);
    const __m512i both = _mm512_cvtepu8_epi32(group_bytes(bytes16(p)));
    const __m512 scale = _mm512_cvtepi32_ps(_mm512_and_si512(both, _mm512_set1_epi32(15)));
    const __m512 min = _mm512_cvtepi32_ps(_mm512_srli_epi32(both, 4));
    out.scale = _mm512_mul_ps(scale, half_everywhere(read16(p + 80)));
    out.min = _mm512_mul_ps(min, half_everywhere(read16(p + 82)));
  }
};

template <>
struct BlockFormat<Avx512, DType::kQ3_K> : Blocks256<110> {
  static constexpr int kOffsetBits = 2;
  static constexpr bool kHasMin = false;
  static void unpack(const std::uint8_t* row, std::int64_t c, Unpacked<Avx512>& out) {
    const std::uint8_t* p = row + c * kBlockBytes;
    spread_pairs(bytes64(p + 32), out.codes);
    add_plane<2>(p, out.codes);
    const __m128i low = _mm_cvtsi64_si128(static_cast<std::int64_t>(read64(p + 96)));
    const __m128i nibbles = _mm_and_si128(_mm_unpacklo_epi64(low, _mm_srli_epi16(low, 4)), _mm_set1_epi8(15));
    const __m128i upper = _mm_srlv_epi32(_mm_set1_epi32(static_cast<int>(read32(p + 104))), _mm_setr_epi32(0, 2, 4, 6));
    const __m128i top = _mm_slli_epi16(_mm_and_si128(upper, _mm_set1_epi8(3)), 4);
    const __m128i six = _mm_sub_epi8(_mm_or_si128(nibbles, top), _mm_set1_epi8(32));
    const __m512 scale = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(group_bytes(six)));
    out.scale = _mm512_mul_ps(scale, half_everywhere(read16(p + 108)));
  }
};

// The head that Q4_K and Q5_K share: h d; h dmin; eight pairs of 6-bit scale and minimum in 12 bytes.
inline void six_bit_pairs(const std::uint8_t* p, Unpacked<Avx512>& out) {
  // Bytes 4 .. 7 of the block are the scales 0 .. 3 with the upper bits of scales 4 .. 7, bytes 8 .. 11 the minima
  // likewise, bytes 12 .. 15 the lower nibbles of scales (low) and minima (high) 4 .. 7.
  const __m128i head = bytes16(p);
  const __m128i lower = _mm_shuffle_epi8(head, _mm_setr_epi8(4, 5, 6, 7, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15));
  const __m128i upper = _mm_shuffle_epi8(head, _mm_setr_epi8(-1, -1, -1, -1, 4, 5, 6, 7, -1, -1, -1, -1, 8, 9, 10, 11));
  const __m128i kept = _mm_setr_epi32(0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f);
  const __m128i low_bits = _mm_and_si128(_mm_srlv_epi32(lower, _mm_setr_epi32(0, 0, 0, 4)), kept);
  const __m128i sixes = _mm_ternarylogic_epi32(low_bits, _mm_srli_epi16(upper, 2), _mm_set1_epi8(0x30), 0xf8);
  // d for the eight scales, dmin for the minima.
  const __m512i halves = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
  const __m512 factors = _mm512_permutexvar_ps(halves, _mm512_castps128_ps512(_mm_cvtph_ps(head)));
  const __m512 values = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(sixes)), factors);
  out.scale = _mm512_permutexvar_ps(numbers(kBlockOfGroup), values);
  out.min = _mm512_permutexvar_ps(numbers(kSecondOfPair), values);
}

// 64 elements from 32 bytes, low nibbles first: group g takes dwords 8 (g / 4) + 4 (g mod 2) + k, which hold its codes
// among those of another group.
inline void spread_rows_of_nibbles(const std::uint8_t* qs, __m512i* out) {
  static constexpr LaneNumbers kIndex = by_group([](int g) { return g / 4 * 8 + g % 2 * 4; });
  const __m512i a = bytes64(qs), b = bytes64(qs + 64);
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k)
    out[k] = _mm512_permutex2var_epi32(a, _mm512_add_epi32(numbers(kIndex), _mm512_set1_epi32(k)), b);
}

template <>
struct BlockFormat<Avx512, DType::kQ4_K> : Blocks256<144> {
  static constexpr int kOffsetBits = 0;
  static constexpr bool kHasMin = true;
  static void unpack(const std::uint8_t* row, std::int64_t c, Unpacked<Avx512>& out) {
    const std::uint8_t* p = row + c * kBlockBytes;
    using Nibbles = NibblesInPlace<high_in_four>;
    spread_rows_of_nibbles(p + 16, out.codes);
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) out.codes[k] = Nibbles::keep(out.codes[k]);
    six_bit_pairs(p, out);
    out.scale = Nibbles::scale(out.scale);
  }
};

template <>
struct BlockFormat<Avx512, DType::kQ5_K> : Blocks256<176> {
  static constexpr int kOffsetBits = 0;
  static constexpr bool kHasMin = true;
  static void unpack(const std::uint8_t* row, std::int64_t c, Unpacked<Avx512>& out) {
    const std::uint8_t* p = row + c * kBlockBytes;
    static constexpr LaneNumbers kShift = by_group([](int g) { return g / 2 % 2 * 4; });
    spread_rows_of_nibbles(p + 48, out.codes);
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) out.codes[k] = low_nibbles(_mm512_srlv_epi32(out.codes[k], numbers(kShift)));
    add_plane<4>(p + 16, out.codes);
    six_bit_pairs(p, out);
  }
};

// Halves of 128 = 64 bytes of nibbles and 32 of upper bit pairs; quarter q of a half (32 elements) takes nibbles of
// bytes 32 (q mod 2) .. , high ones for q >= 2, and bits 2q of the upper bytes.
template <>
struct BlockFormat<Avx512, DType::kQ6_K> : Blocks256<210> {
  static constexpr int kOffsetBits = 5;
  static constexpr bool kHasMin = false;
  static void unpack(const std::uint8_t* row, std::int64_t c, Unpacked<Avx512>& out) {
    const std::uint8_t* p = row + c * kBlockBytes;
    static constexpr LaneNumbers kLow = by_group([](int g) { return g / 8 * 16 + g / 2 % 2 * 8 + g % 2 * 4; });
    static constexpr LaneNumbers kLowShift = by_group([](int g) { return g % 8 / 4 * 4; });
    static constexpr LaneNumbers kHigh = by_group([](int g) { return g / 8 * 8 + g % 2 * 4; });
    static constexpr LaneNumbers kHighRotate = by_group([](int g) { return (4 - g % 8 / 2 * 2) & 31; });
    const __m512i a = bytes64(p), b = bytes64(p + 64), upper = bytes64(p + 128);
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      const __m512i step = _mm512_set1_epi32(k);
      const __m512i low = _mm512_permutex2var_epi32(a, _mm512_add_epi32(numbers(kLow), step), b);
      const __m512i high = _mm512_permutexvar_epi32(_mm512_add_epi32(numbers(kHigh), step), upper);
      out.codes[k] = or_masked(low_nibbles(_mm512_srlv_epi32(low, numbers(kLowShift))),
                               _mm512_rolv_epi32(high, numbers(kHighRotate)), 0x30);
    }
    const __m512 scale = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(group_bytes(bytes16(p + 192))));
    out.scale = _mm512_mul_ps(scale, half_everywhere(read16(p + 208)));
  }
};

template <>
struct BlockFormat<Avx512, DType::kIQ4_XS> : Blocks256<136> {
  static constexpr int kOffsetBits = 7;
  static constexpr bool kHasMin = false;
  static void unpack(const std::uint8_t* row, std::int64_t c, Unpacked<Avx512>& out) {
    const std::uint8_t* p = row + c * kBlockBytes;
    spread_nibbles(bytes64(p + 8), bytes64(p + 72), out.codes);
    look_up(uneven_steps(), out.codes);
    static constexpr LaneNumbers kLow = by_group([](int g) { return g / 2 * 4; });
    static constexpr LaneNumbers kHigh = by_group([](int g) { return g / 2 * 2; });
    const __m512i low = _mm512_srlv_epi32(_mm512_set1_epi32(static_cast<int>(read32(p + 4))), numbers(kLow));
    const __m512i high = _mm512_srlv_epi32(_mm512_set1_epi32(read16(p + 2)), numbers(kHigh));
    const __m512i six = _mm512_or_si512(_mm512_and_si512(low, _mm512_set1_epi32(15)),
                                        _mm512_slli_epi32(_mm512_and_si512(high, _mm512_set1_epi32(3)), 4));
    const __m512 scale = _mm512_cvtepi32_ps(_mm512_sub_epi32(six, _mm512_set1_epi32(32)));
    out.scale = _mm512_mul_ps(scale, half_everywhere(read16(p)));
  }
};

}  // namespace
}  // namespace fathom::kernels
