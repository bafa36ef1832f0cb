// Products of block formats with 8-bit activations, for any instruction set V (vector_*.h) and Format (formats_*.h).
//
// A row is worked on in chunks of kLanes groups of 16 elements. A chunk of weights is unpacked into four vectors of
// codes, vector k holding in lane L bytes 4k .. 4k + 3 of the group that V assigns to L; activations are packed in the
// same order. Four dot-product instructions then leave each group's whole sum in its own lane, exact in integers, and
// one conversion and two multiply-adds (scale of the weights' group, scale of the activations' block) finish the chunk:
//
//   sum[lane] += (scale_w * dot - min * sum of codes) * scale_x
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
};

// How V unpacks a format. kBlockElements and kBlockBytes: the format's block. kSigned: codes are signed bytes; otherwise
// they are unsigned and too large by 2^kOffsetBits (0: by nothing). kHasMin: the format has minima.
// unpack(row, c, out) unpacks chunk c of a row; it reads nothing outside the blocks of that chunk.
template <class V, base::DType kType>
struct BlockFormat;

template <class V>
std::int64_t chunks_of(std::int64_t n) {
  return (n + PackedChunk<V>::kElements - 1) / PackedChunk<V>::kElements;
}

template <class V>
std::size_t packed_bytes(std::int64_t n) {
  return static_cast<std::size_t>(chunks_of<V>(n)) * sizeof(PackedChunk<V>);
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

// Chunk c of a row. A last chunk that the row does not fill (formats of 32 elements only) is completed with zero blocks,
// which meet activations that are zero too.
template <class V, class Format>
inline void unpack_chunk(const std::uint8_t* row, std::int64_t c, std::int64_t n, Unpacked<V>& out) {
  constexpr std::int64_t kElements = PackedChunk<V>::kElements;
  if (Format::kBlockElements > 32 || (c + 1) * kElements <= n) {
    Format::unpack(row, c, out);
    return;
  }
  if constexpr (Format::kBlockElements == 32) {
    constexpr std::int64_t kChunkBytes = kElements / 32 * Format::kBlockBytes;
    alignas(64) std::uint8_t blocks[kChunkBytes];
    const std::int64_t bytes = (n - c * kElements) / 32 * Format::kBlockBytes;
    __builtin_memset(blocks, 0, sizeof blocks);
    __builtin_memcpy(blocks, row + c * kChunkBytes, static_cast<std::size_t>(bytes));
    Format::unpack(blocks, 0, out);
  }
}

// One chunk of kRows rows times one token's activations.
template <class V, class Format, int kRows>
[[gnu::always_inline]] inline void add_chunk(const Unpacked<V>* w, const PackedChunk<V>& x, typename V::F* acc) {
  const auto minus_sums = V::load_int(x.minus_sums);
  const auto scale = V::load(x.scales);
  const auto start = Format::kOffsetBits ? V::template shift_left<Format::kOffsetBits>(minus_sums) : V::zero_int();
  const auto min_factor = Format::kHasMin ? V::to_float(minus_sums) : V::zero();
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const auto dots = V::to_float(V::template dot<Format>(w[r].codes, x.codes[0], start));
    const auto value = Format::kHasMin ? V::fma(dots, w[r].scale, V::mul(w[r].min, min_factor))
                                       : V::mul(dots, w[r].scale);
    acc[r] = V::fma(value, scale, acc[r]);
  }
}

constexpr std::int64_t kBlockTile = 64;  // tokens that share unpacked rows; their sums are 16 KB of first-level cache

// What one call of the inner loops works on.
template <class V>
struct Tile {
  const PackedChunk<V>* x[kBlockTile];  // packed row of each token
  std::int64_t first, tokens;
};

template <class V, int kRows>
void put_rows(const LinearArgs& args, std::int64_t token, std::int64_t o, const typename V::F* acc) {
  if constexpr (kRows == 4) {
    put_outputs(args, token, o, 4, V::sum4(acc[0], acc[1], acc[2], acc[3]));
  } else if constexpr (kRows == 2) {
    put_outputs(args, token, o, 2, V::sum4(acc[0], acc[1], acc[0], acc[1]));
  } else {
    put_outputs(args, token, o, 1, V::sum4(acc[0], acc[0], acc[0], acc[0]));
  }
}

// kRows outputs from o on for one token: each chunk is used as soon as it is unpacked.
template <class V, class Format, int kRows>
void multiply_one(const LinearArgs& args, const WeightView& w, std::int64_t o, const Tile<V>& tile) {
  const std::uint8_t* rows[kRows];
  typename V::F acc[kRows];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    rows[r] = reinterpret_cast<const std::uint8_t*>(w.at(o + r, 0));
    acc[r] = V::zero();
  }
  const std::int64_t chunks = chunks_of<V>(w.cols);
  for (std::int64_t c = 0; c < chunks; ++c) {
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      Unpacked<V> u;
      unpack_chunk<V, Format>(rows[r], c, w.cols, u);
      add_chunk<V, Format, 1>(&u, tile.x[0][c], acc + r);
    }
  }
  put_rows<V, kRows>(args, tile.first, o, acc);
}

// kRows outputs from o on for all tokens of the tile: a chunk of the rows stays in registers while the tokens pass by.
template <class V, class Format, int kRows>
void multiply_many(const LinearArgs& args, const WeightView& w, std::int64_t o, const Tile<V>& tile) {
  typename V::F acc[kBlockTile][kRows];
  const std::uint8_t* rows[kRows];
  for (int r = 0; r < kRows; ++r) rows[r] = reinterpret_cast<const std::uint8_t*>(w.at(o + r, 0));
  for (std::int64_t t = 0; t < tile.tokens; ++t)
    for (int r = 0; r < kRows; ++r) acc[t][r] = V::zero();
  const std::int64_t chunks = chunks_of<V>(w.cols);
  for (std::int64_t c = 0; c < chunks; ++c) {
    Unpacked<V> u[kRows];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) unpack_chunk<V, Format>(rows[r], c, w.cols, u[r]);
    for (std::int64_t t = 0; t < tile.tokens; ++t) add_chunk<V, Format, kRows>(u, tile.x[t][c], acc[t]);
  }
  for (std::int64_t t = 0; t < tile.tokens; ++t) put_rows<V, kRows>(args, tile.first + t, o, acc[t]);
}

template <class V, class Format, int kRows>
void multiply(const LinearArgs& args, const WeightView& w, std::int64_t o, const Tile<V>& tile) {
  if (tile.tokens == 1) {
    multiply_one<V, Format, kRows>(args, w, o, tile);
  } else {
    multiply_many<V, Format, kRows>(args, w, o, tile);
  }
}

template <class V, class Format>
void linear_blocks(const LinearArgs& args) {
  const WeightView w = view(*args.weight, nullptr);
  Tile<V> tile;
  for (tile.first = 0; tile.first < args.tokens; tile.first += kBlockTile) {
    tile.tokens = args.tokens - tile.first < kBlockTile ? args.tokens - tile.first : kBlockTile;
    for (std::int64_t t = 0; t < tile.tokens; ++t) {
      const std::int64_t row = args.gather ? args.gather[tile.first + t] : tile.first + t;
      tile.x[t] = reinterpret_cast<const PackedChunk<V>*>(args.in.packed + static_cast<std::size_t>(row) *
                                                                              args.in.packed_stride);
    }
    std::int64_t o = args.begin;
    for (; o + V::kBlockRows <= args.end; o += V::kBlockRows) multiply<V, Format, V::kBlockRows>(args, w, o, tile);
    for (; o < args.end; ++o) multiply<V, Format, 1>(args, w, o, tile);
  }
}

// One row to fp32 through the same unpacking. The product of scale and code is exact, so the one rounding (of the
// multiply-add) is the one of the scalar definition.
template <class V, class Format>
void decode_blocks(const std::byte* row, std::int64_t n, float* out) {
  constexpr int kElements = PackedChunk<V>::kElements;
  constexpr float kOffset = Format::kOffsetBits ? static_cast<float>(1 << Format::kOffsetBits) : 0.0f;
  for (std::int64_t c = 0; c < chunks_of<V>(n); ++c) {
    Unpacked<V> u;
    unpack_chunk<V, Format>(reinterpret_cast<const std::uint8_t*>(row), c, n, u);
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
        V::store(out + begin + 16 * g + k, Format::kHasMin ? V::fma(code, scale, V::sub(V::zero(), V::set(mins[lane])))
                                                          : V::mul(code, scale));
      }
    }
  }
}

}  // namespace
}  // namespace fathom::kernels
