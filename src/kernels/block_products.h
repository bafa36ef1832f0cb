// Products of block formats with 8-bit activations, for any instruction set V (vector_*.h) and Format (formats_*.h).
//
// A row is worked on in chunks of kLanes groups of 16 elements. A chunk of weights is unpacked into four vectors of
// codes, vector k holding in lane L bytes 4k .. 4k + 3 of the group that V assigns to L; activations are packed in the
// same order. Four dot-product instructions then leave each group's whole sum in its own lane, exact in integers, and
// two multiply-adds (scale of the weights' group, scale of the activations' block) finish the chunk:
//
//   sum[lane] += scale_w * dot * scale_x - min * (sum of codes) * scale_x
//
// No instruction converts dot to fp32: the integers start from the bits of the number kMagic = 1.5 * 2^23, whose last
// bit is worth 1, so that they read as kMagic + dot, and the first multiply-add takes kMagic * scale_w off again. Both
// of its operands are exact (|dot| < 2^20, and a scale has at most 18 significant bits, to which kMagic's 3 add 2), so
// it rounds scale_w * dot once, as a multiplication would. (Scales from 2^104 on, which only MXFP4 could express and no
// weight has, would overflow.)
//
// Every output is such a vector of lanes, summed over chunks in order and then across lanes, whatever the number of
// tokens or rows that share the work: that is why its bits cannot depend on them.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/table.h"
#include "kernels/wide_products.h"

namespace fathom::kernels {
namespace {

// What a packed row of activations holds for one chunk. minus_sums: minus the sum of the group's codes, which undoes
// the offset that made a format's codes unsigned, and weighs a format's minima.
template <class V>
struct PackedChunk {
  static constexpr int kElements = 16 * V::kLanes;
  std::int8_t codes[4][4 * V::kLanes];
  float scales[V::kLanes];
  std::int32_t minus_sums[V::kLanes];
};

// A chunk of weights: value = scale * (code - offset) - min.
template <class V>
struct Unpacked {
  typename V::I codes[4];
  typename V::F scale, min;
  typename V::F minus_magic;  // -kMagic * scale
};

constexpr float kMagic = 0x1.8p23f;
constexpr std::int32_t kMagicBits = 0x4b400000;

// How V unpacks a format. kBlockElements and kBlockBytes: the format's block. kSigned: codes are signed bytes;
// otherwise they are unsigned and too large by 2^kOffsetBits (0: by nothing). kHasMin: the format has minima.
// unpack(row, c, out) unpacks chunk c of a row; it reads nothing outside the blocks of that chunk.
template <class V, base::DType kType>
struct BlockFormat;

template <class V>
std::int64_t chunks_of(std::int64_t n) {
  return (n + PackedChunk<V>::kElements - 1) / PackedChunk<V>::kElements;
}

// One cache line more than the chunks take makes the number of lines odd: the same chunk of many rows then lies in all
// sets of the cache, where it would crowd into a few of them and drive the sums out.
template <class V>
std::size_t packed_bytes(std::int64_t n) {
  static_assert(sizeof(PackedChunk<V>) % 64 == 0);
  const std::size_t lines = static_cast<std::size_t>(chunks_of<V>(n)) * sizeof(PackedChunk<V>) / 64;
  return (lines | 1) * 64;
}

// Blocks of 32 share scale = amax / 127. A block that holds a number that is not finite gets the scale NaN, one whose
// numbers are too small for 127 / amax to be finite becomes zero.
template <class V>
void pack(const float* x, std::int64_t n, std::byte* out) {
  auto* chunk = reinterpret_cast<PackedChunk<V>*>(out);
  constexpr int kElements = PackedChunk<V>::kElements;
  for (std::int64_t begin = 0; begin < n; begin += kElements, ++chunk) {
    alignas(64) std::int8_t codes[kElements];
    float scales[kElements / 32];
    for (int b = 0; b < kElements / 32; ++b) {
      const std::int64_t i = begin + 32 * b, left = n - i;
      typename V::F values[32 / V::kLanes];
      auto largest = V::magnitude(V::zero());
#pragma GCC unroll 4
      for (int k = 0; k < 32 / V::kLanes; ++k) {
        const std::int64_t m = left - k * V::kLanes;
        values[k] = m <= 0 ? V::zero() : V::load_first(x + i + k * V::kLanes, m < V::kLanes ? m : V::kLanes);
        largest = V::max_int(largest, V::magnitude(values[k]));
      }
      const float amax = __builtin_bit_cast(float, V::top_int(largest));
      const bool finite = amax < __builtin_inff();
      const float inverse = finite && amax >= kSmallestScaled ? 127.0f / amax : 0.0f;
      scales[b] = !finite ? __builtin_nanf("") : inverse > 0 ? amax / 127.0f : 0.0f;
#pragma GCC unroll 4
      for (int k = 0; k < 32 / V::kLanes; ++k)
        V::store_i8(codes + 32 * b + k * V::kLanes, inverse > 0 ? V::mul(values[k], V::set(inverse)) : V::zero(),
                    V::kLanes);
    }
    V::finish_packed(codes, scales, chunk->codes[0], chunk->scales, chunk->minus_sums);
  }
}

// Where a row's chunks are. `end` is where the tensor ends, up to which a kernel may read.
template <class V, class Format>
struct RowChunks {
  static constexpr std::int64_t kElements = PackedChunk<V>::kElements;
  static constexpr std::int64_t kBytes = kElements * Format::kBlockBytes / Format::kBlockElements;
  const std::uint8_t* row;
  std::int64_t n;
  const std::uint8_t* end;

  // A last chunk that the row does not fill (formats of 32 elements only) runs on into the next row, whose codes meet
  // activations of zero and whose scales are put out here; in the tensor's last row, zero blocks are put behind it.
  [[gnu::always_inline]] void unpack(std::int64_t c, Unpacked<V>& out) const {
    if (Format::kBlockElements > 32 || (c + 1) * kElements <= n) {
      Format::unpack(row, c, out);
    } else {
      unpack_last(c, out);
    }
    out.minus_magic = V::mul(out.scale, V::set(-kMagic));
  }
  // Bytes that lie kAhead further on than chunk c's, into the second-level cache.
  [[gnu::always_inline]] void prefetch(std::int64_t c) const {
    constexpr std::int64_t kAhead = 1024;
#pragma GCC unroll 8
    for (std::int64_t b = 0; b < kBytes; b += 64) __builtin_prefetch(row + c * kBytes + kAhead + b, 0, 2);
  }

 private:
  void unpack_last(std::int64_t c, Unpacked<V>& out) const {
    if constexpr (Format::kBlockElements == 32) {
      const std::int64_t blocks = (n - c * kElements) / 32;
      if (row + (c + 1) * kBytes <= end) {
        Format::unpack(row, c, out);
      } else {
        alignas(64) std::uint8_t copy[kBytes];
        __builtin_memset(copy, 0, sizeof copy);
        __builtin_memcpy(copy, row + c * kBytes, static_cast<std::size_t>(blocks * Format::kBlockBytes));
        Format::unpack(copy, 0, out);
      }
      out.scale = V::first_blocks(out.scale, blocks);
      if (Format::kHasMin) out.min = V::first_blocks(out.min, blocks);
    }
  }
};

template <class V, class Format>
inline RowChunks<V, Format> chunks_at(const WeightView& w, std::int64_t row) {
  const auto* end = reinterpret_cast<const std::uint8_t*>(w.at(w.rows, 0));
  return {reinterpret_cast<const std::uint8_t*>(w.at(row, 0)), w.cols, end};
}

// One chunk of kRows rows times one token's activations.
template <class V, class Format, int kRows>
[[gnu::always_inline]] inline void add_chunk(const Unpacked<V>* w, const PackedChunk<V>& x, typename V::F* acc) {
  const auto minus_sums = V::load_int(x.minus_sums);
  const auto scale = V::load(x.scales);
  const auto start = Format::kOffsetBits
                         ? V::add_int(V::template shift_left<Format::kOffsetBits>(minus_sums), V::set_int(kMagicBits))
                         : V::set_int(kMagicBits);
  const auto min_factor = Format::kHasMin ? V::mul(V::to_float(minus_sums), scale) : V::zero();
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const auto magic_and_dot = V::as_float(V::template dot<Format>(w[r].codes, x.codes[0], start));
    acc[r] = V::fma(V::fma(magic_and_dot, w[r].scale, w[r].minus_magic), scale, acc[r]);
    if (Format::kHasMin) acc[r] = V::fma(w[r].min, min_factor, acc[r]);
  }
}

constexpr std::int64_t kBlockTile = 64;  // tokens that share unpacked rows; their sums are 16 KB of first-level cache
constexpr int kTokensAhead = 2;          // a token's packed chunk is fetched from the second level this early

// What one call of the inner loops works on: the packed rows of its tokens, the last repeated for those ahead of it.
template <class V>
struct Tile {
  const PackedChunk<V>* x[kBlockTile + kTokensAhead];
  std::int64_t first, tokens;
};

// Which outputs are computed together: o, o + apart, o + 2 apart ... With few tokens the weights come from memory, and
// rows far apart are as many long streams, which the hardware's prefetcher follows better than one; with many tokens
// the outputs of neighbouring rows are stored together.
struct RowGroup {
  std::int64_t o, apart;
};

template <class V, int kRows>
void put_rows(const LinearArgs& args, std::int64_t token, RowGroup group, const typename V::F* acc) {
  static_assert(kRows == 1 || kRows == 2 || kRows == 4);
  const __m128 sums = V::sum4(acc[0], acc[kRows > 1 ? 1 : 0], acc[kRows > 2 ? 2 : 0], acc[kRows > 2 ? 3 : 0]);
  if (group.apart == 1) return put_outputs(args, token, group.o, kRows, sums);
  float each[4];
  _mm_storeu_ps(each, sums);
  for (int r = 0; r < kRows; ++r) put_outputs(args, token, group.o + r * group.apart, 1, _mm_set_ss(each[r]));
}

// kRows outputs for one token: each chunk is used as soon as it is unpacked.
template <class V, class Format, int kRows>
void multiply_one(const LinearArgs& args, const WeightView& w, RowGroup group, const Tile<V>& tile) {
  RowChunks<V, Format> rows[kRows];
  typename V::F acc[kRows];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    rows[r] = chunks_at<V, Format>(w, group.o + r * group.apart);
    acc[r] = V::zero();
  }
  const std::int64_t chunks = chunks_of<V>(w.cols);
  for (std::int64_t c = 0; c < chunks; ++c) {
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      Unpacked<V> u;
      rows[r].prefetch(c);
      rows[r].unpack(c, u);
      add_chunk<V, Format, 1>(&u, tile.x[0][c], acc + r);
    }
  }
  put_rows<V, kRows>(args, tile.first, group, acc);
}

// kRows outputs for all tokens of the tile: a chunk of the rows stays in registers while the tokens pass by.
template <class V, class Format, int kRows>
void multiply_many(const LinearArgs& args, const WeightView& w, RowGroup group, const Tile<V>& tile) {
  typename V::F acc[kBlockTile][kRows];
  RowChunks<V, Format> rows[kRows];
  for (int r = 0; r < kRows; ++r) rows[r] = chunks_at<V, Format>(w, group.o + r * group.apart);
  for (std::int64_t t = 0; t < tile.tokens; ++t)
    for (int r = 0; r < kRows; ++r) acc[t][r] = V::zero();
  const std::int64_t chunks = chunks_of<V>(w.cols);
  for (std::int64_t c = 0; c < chunks; ++c) {
    Unpacked<V> u[kRows];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      rows[r].prefetch(c);
      rows[r].unpack(c, u[r]);
    }
    for (std::int64_t t = 0; t < tile.tokens; ++t) {
      const auto* ahead = reinterpret_cast<const char*>(tile.x[t + kTokensAhead] + c);
#pragma GCC unroll 8
      for (std::size_t b = 0; b < sizeof(PackedChunk<V>); b += 64) __builtin_prefetch(ahead + b);
      add_chunk<V, Format, kRows>(u, tile.x[t][c], acc[t]);
    }
  }
  for (std::int64_t t = 0; t < tile.tokens; ++t) put_rows<V, kRows>(args, tile.first + t, group, acc[t]);
}

template <class V, class Format, int kRows>
void multiply(const LinearArgs& args, const WeightView& w, RowGroup group, const Tile<V>& tile) {
  if (tile.tokens == 1) {
    multiply_one<V, Format, kRows>(args, w, group, tile);
  } else {
    multiply_many<V, Format, kRows>(args, w, group, tile);
  }
}

template <class V>
void find_tokens(const LinearArgs& args, Tile<V>& tile) {
  for (std::int64_t t = 0; t < tile.tokens; ++t) {
    const std::int64_t row = args.gather ? args.gather[tile.first + t] : tile.first + t;
    const std::byte* packed = args.in.packed + static_cast<std::size_t>(row) * args.in.packed_stride;
    tile.x[t] = reinterpret_cast<const PackedChunk<V>*>(packed);
  }
  for (int k = 0; k < kTokensAhead; ++k) tile.x[tile.tokens + k] = tile.x[tile.tokens - 1];
}

constexpr std::int64_t kFewTokens = 8;  // up to here the weights' way from memory is what takes the time

template <class V, class Format>
void linear_blocks(const LinearArgs& args) {
  constexpr int kRows = V::kBlockRows;
  const WeightView w = view(*args.weight, nullptr);
  const std::int64_t groups = (args.end - args.begin) / kRows;
  Tile<V> tile;
  for (tile.first = 0; tile.first < args.tokens; tile.first += kBlockTile) {
    tile.tokens = args.tokens - tile.first < kBlockTile ? args.tokens - tile.first : kBlockTile;
    find_tokens(args, tile);
    const bool few = tile.tokens <= kFewTokens;
    for (std::int64_t g = 0; g < groups; ++g) {
      const RowGroup group = few ? RowGroup{args.begin + g, groups} : RowGroup{args.begin + g * kRows, 1};
      multiply<V, Format, kRows>(args, w, group, tile);
    }
    for (std::int64_t o = args.begin + groups * kRows; o < args.end; ++o) multiply<V, Format, 1>(args, w, {o, 1}, tile);
  }
}

// One row to fp32 through the same unpacking. The product of scale and code is exact, so the one rounding (of the
// multiply-add) is the one of the scalar definition.
template <class V, class Format>
void decode_blocks(const std::byte* row, std::int64_t n, float* out) {
  constexpr int kElements = PackedChunk<V>::kElements;
  constexpr float kOffset = Format::kOffsetBits ? static_cast<float>(1 << Format::kOffsetBits) : 0.0f;
  const auto* first = reinterpret_cast<const std::uint8_t*>(row);
  const RowChunks<V, Format> chunks{first, n, first + n / Format::kBlockElements * Format::kBlockBytes};
  for (std::int64_t c = 0; c < chunks_of<V>(n); ++c) {
    Unpacked<V> u;
    chunks.unpack(c, u);
    alignas(64) std::byte codes[kElements];
    alignas(64) float scales[V::kLanes], mins[V::kLanes];
    V::store_in_order(u.codes, codes);
    V::store(scales, u.scale);
    if (Format::kHasMin) V::store(mins, u.min);
    const std::int64_t begin = c * kElements;
    for (int g = 0; g < V::kLanes && begin + 16 * g < n; ++g) {
      const int lane = V::lane_of_group(g);
      const auto scale = V::set(scales[lane]);
#pragma GCC unroll 2
      for (int k = 0; k < 16; k += V::kLanes) {
        const std::byte* p = codes + 16 * g + k;
        const auto code = Format::kSigned ? V::from_i8(V::bytes(p)) : V::sub(V::from_u8(V::bytes(p)), V::set(kOffset));
        V::store(out + begin + 16 * g + k,
                 Format::kHasMin ? V::fma(code, scale, V::sub(V::zero(), V::set(mins[lane]))) : V::mul(code, scale));
      }
    }
  }
}

}  // namespace
}  // namespace fathom::kernels
