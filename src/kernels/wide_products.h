// Products with fp32 activations, for any vector V of fp32 lanes: a few weight rows are decoded a chunk at a time into
// the first-level cache and multiplied with all tokens of the call. Element i of a row always adds to lane i mod kLanes
// of the same sum, in the order of i, whatever the number of tokens or rows.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/table.h"
#include "kernels/wide_rows.h"

namespace fathom::kernels {
namespace {

using Decode = void (*)(const std::byte* row, std::int64_t n, float* out);

// A weight as these loops read it (base::Tensor's own functions are inline, and so must not be called here).
struct WeightView {
  const base::Tensor* tensor;
  Decode decode;
  std::int64_t rows, cols;
  std::int64_t unit_elements, unit_bytes;  // of one block of the format
  std::int64_t row_bytes;

  const std::byte* at(std::int64_t row, std::int64_t i) const {
    return tensor->data + row * row_bytes + i / unit_elements * unit_bytes;
  }
};

struct BlockSize {
  std::int64_t elements, bytes;
};

// base::info's numbers for the types a weight may have, as a switch so that no other object's inline code is needed.
inline BlockSize block_size(base::DType type) {
  switch (type) {
    case base::DType::kF32:
      return {1, 4};
    case base::DType::kF16:
    case base::DType::kBF16:
      return {1, 2};
    case base::DType::kF8E4M3:
      return {1, 1};
    case base::DType::kQ4_0:
    case base::DType::kIQ4_NL:
      return {32, 18};
    case base::DType::kQ4_1:
      return {32, 20};
    case base::DType::kQ5_0:
      return {32, 22};
    case base::DType::kQ5_1:
      return {32, 24};
    case base::DType::kQ8_0:
      return {32, 34};
    case base::DType::kMXFP4:
      return {32, 17};
    case base::DType::kQ2_K:
      return {256, 84};
    case base::DType::kQ3_K:
      return {256, 110};
    case base::DType::kQ4_K:
      return {256, 144};
    case base::DType::kQ5_K:
      return {256, 176};
    case base::DType::kQ6_K:
      return {256, 210};
    case base::DType::kIQ4_XS:
      return {256, 136};
    default:
      return {1, 0};
  }
}

// The array inside Tensor::shape, whose operator[] is an inline function of the library.
inline const std::int64_t* dims(const base::Tensor& t) {
  return reinterpret_cast<const std::int64_t*>(&t.shape);
}

inline WeightView view(const base::Tensor& t, Decode decode) {
  const BlockSize block = block_size(t.dtype);
  std::int64_t rows = 1;
  for (int i = 0; i + 1 < t.rank; ++i) rows *= dims(t)[i];
  const std::int64_t cols = dims(t)[t.rank - 1];
  return {&t, decode, rows, cols, block.elements, block.bytes, cols / block.elements * block.bytes};
}

// Elements i .. i + n - 1 of a row in fp32, FP8 block scales applied. i is a multiple of 256.
template <class V>
void decode_chunk(const WeightView& w, std::int64_t row, std::int64_t i, std::int64_t n, float* out) {
  w.decode(w.at(row, i), n, out);
  const float* scales = w.tensor->scale;
  if (!scales) return;
  const std::int64_t block = w.tensor->scale_block;
  scales += (row + w.tensor->scale_row) / block * ((w.cols + block - 1) / block);
  for (std::int64_t k = 0; k < n;) {
    const std::int64_t left = block - (i + k) % block;
    const std::int64_t end = k + left < n ? k + left : n;
    const auto scale = V::set(scales[(i + k) / block]);
    for (; k + V::kLanes <= end; k += V::kLanes) V::store(out + k, V::mul(V::load(out + k), scale));
    if (k < end) V::store_first(out + k, V::mul(V::load_first(out + k, end - k), scale), end - k);
    k = end;
  }
}

// Four neighbouring outputs of one token, or the first `count` of them.
inline void put_outputs(const LinearArgs& args, std::int64_t token, std::int64_t o, std::int64_t count, __m128 sums) {
  const std::int64_t row = args.scatter ? args.scatter[token] : token;
  float* out = args.out + row * args.out_ld + o;
  const float scale = args.row_scale ? args.row_scale[token] : 1.0f;
  if (count >= 4) {
    const __m128 biased = _mm_add_ps(sums, args.bias ? _mm_loadu_ps(args.bias + o) : _mm_setzero_ps());
    const __m128 y = _mm_mul_ps(biased, _mm_set1_ps(scale));
    _mm_storeu_ps(out, args.accumulate ? _mm_add_ps(_mm_loadu_ps(out), y) : y);
    return;
  }
  float s[4];
  _mm_storeu_ps(s, sums);
  for (std::int64_t k = 0; k < count; ++k) {
    const float y = (s[k] + (args.bias ? args.bias[o + k] : 0.0f)) * scale;
    out[k] = args.accumulate ? out[k] + y : y;
  }
}

constexpr std::int64_t kWideChunk = 512;  // elements: eight decoded rows are 16 KB
constexpr std::int64_t kWideTile = 48;    // tokens that share decoded rows; a multiple of every kProductTokens

// kTokens tokens times V::kProductRows decoded rows, n elements, added to acc[token][row].
template <class V, int kTokens>
void multiply_chunk(const float* const* rows, const float* const* x, std::int64_t n,
                    typename V::F (*acc)[V::kProductRows]) {
  typename V::F sums[kTokens][V::kProductRows], xs[kTokens];
#pragma GCC unroll 4
  for (int t = 0; t < kTokens; ++t)
#pragma GCC unroll 8
    for (int r = 0; r < V::kProductRows; ++r) sums[t][r] = acc[t][r];
  std::int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) {
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) xs[t] = V::load(x[t] + i);
#pragma GCC unroll 8
    for (int r = 0; r < V::kProductRows; ++r) {
      const auto w = V::load(rows[r] + i);
#pragma GCC unroll 4
      for (int t = 0; t < kTokens; ++t) sums[t][r] = V::fma(w, xs[t], sums[t][r]);
    }
  }
  if (i < n) {
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) xs[t] = V::load_first(x[t] + i, n - i);
#pragma GCC unroll 8
    for (int r = 0; r < V::kProductRows; ++r) {
      const auto w = V::load_first(rows[r] + i, n - i);
#pragma GCC unroll 4
      for (int t = 0; t < kTokens; ++t) sums[t][r] = V::fma(w, xs[t], sums[t][r]);
    }
  }
#pragma GCC unroll 4
  for (int t = 0; t < kTokens; ++t)
#pragma GCC unroll 8
    for (int r = 0; r < V::kProductRows; ++r) acc[t][r] = sums[t][r];
}

// Outputs o .. o + count - 1 (count <= kProductRows) of tokens first .. first + tokens - 1 (tokens <= kWideTile).
template <class V>
void multiply_rows(const LinearArgs& args, const WeightView& w, std::int64_t o, std::int64_t count, std::int64_t first,
                   std::int64_t tokens) {
  constexpr int kRows = V::kProductRows;
  alignas(64) float decoded[kRows][kWideChunk];
  typename V::F acc[kWideTile][kRows];
  for (std::int64_t t = 0; t < tokens; ++t)
    for (int r = 0; r < kRows; ++r) acc[t][r] = V::zero();
  for (std::int64_t i = 0; i < w.cols; i += kWideChunk) {
    const std::int64_t n = w.cols - i < kWideChunk ? w.cols - i : kWideChunk;
    const float* rows[kRows];
    for (int r = 0; r < kRows; ++r) {
      // Rows past the end repeat the last one; their sums are dropped.
      const std::int64_t row = r < count ? r : count - 1;
      rows[r] = decoded[row];
      if (w.tensor->dtype == base::DType::kF32) {
        rows[r] = reinterpret_cast<const float*>(w.at(o + row, i));
      } else if (r < count) {
        decode_chunk<V>(w, o + r, i, n, decoded[r]);
      }
    }
    for (std::int64_t t = 0; t < tokens; t += V::kProductTokens) {
      const float* x[V::kProductTokens];
      for (std::int64_t k = 0; k < V::kProductTokens; ++k) {
        const std::int64_t token = first + (t + k < tokens ? t + k : t);
        x[k] = args.in.x + (args.gather ? args.gather[token] : token) * args.in.ld + i;
      }
      if (tokens - t >= V::kProductTokens) {
        multiply_chunk<V, V::kProductTokens>(rows, x, n, acc + t);
      } else if (tokens - t == 2) {
        multiply_chunk<V, 2>(rows, x, n, acc + t);
      } else {
        multiply_chunk<V, 1>(rows, x, n, acc + t);
      }
    }
  }
  for (std::int64_t t = 0; t < tokens; ++t)
    for (int r = 0; r < count; r += 4)
      put_outputs(args, first + t, o + r, count - r, V::sum4(acc[t][r], acc[t][r + 1], acc[t][r + 2], acc[t][r + 3]));
}

// kTokens tokens times V::kProductRows rows of a plain type, straight from memory: the same sums in the same order as
// multiply_rows, for so few tokens that decoded rows are not worth keeping. The rows lie far apart, as many long
// streams.
template <class V, class Row, int kTokens>
void multiply_plain(const LinearArgs& args, const WeightView& w, std::int64_t o, std::int64_t apart) {
  constexpr int kRows = V::kProductRows;
  typename V::F acc[kRows][kTokens], xs[kTokens];
  const std::byte* rows[kRows];
  const float* x[kTokens];
#pragma GCC unroll 4
  for (int t = 0; t < kTokens; ++t) x[t] = args.in.x + (args.gather ? args.gather[t] : t) * args.in.ld;
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    rows[r] = w.at(o + r * apart, 0);
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) acc[r][t] = V::zero();
  }
  std::int64_t i = 0;
  for (; i + V::kLanes <= w.cols; i += V::kLanes) {
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) xs[t] = V::load(x[t] + i);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const auto v = Row::load(rows[r], i);
#pragma GCC unroll 4
      for (int t = 0; t < kTokens; ++t) acc[r][t] = V::fma(v, xs[t], acc[r][t]);
    }
  }
  if (i < w.cols) {
    const std::int64_t m = w.cols - i;
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) xs[t] = V::load_first(x[t] + i, m);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const auto v = Row::load_first(rows[r], i, m);
#pragma GCC unroll 4
      for (int t = 0; t < kTokens; ++t) acc[r][t] = V::fma(v, xs[t], acc[r][t]);
    }
  }
  for (int t = 0; t < kTokens; ++t)
    for (int r = 0; r < kRows; ++r)
      put_outputs(args, t, o + r * apart, 1, V::sum4(acc[r][t], acc[r][t], acc[r][t], acc[r][t]));
}

// The groups of kProductRows rows of a call with at most kProductTokens tokens; returns the first row left over.
template <class V, class Row>
std::int64_t few_tokens(const LinearArgs& args, const WeightView& w) {
  static_assert(V::kProductTokens == 3);
  const std::int64_t groups = (args.end - args.begin) / V::kProductRows;
  for (std::int64_t g = 0; g < groups; ++g) {
    if (args.tokens == 1) {
      multiply_plain<V, Row, 1>(args, w, args.begin + g, groups);
    } else if (args.tokens == 2) {
      multiply_plain<V, Row, 2>(args, w, args.begin + g, groups);
    } else {
      multiply_plain<V, Row, 3>(args, w, args.begin + g, groups);
    }
  }
  return args.begin + groups * V::kProductRows;
}

template <class V>
void linear_wide(const LinearArgs& args, Decode decode) {
  const WeightView w = view(*args.weight, decode);
  std::int64_t begin = args.begin;
  if (args.tokens > 0 && args.tokens <= V::kProductTokens) {
    if (w.tensor->dtype == base::DType::kF32) begin = few_tokens<V, RowF32<V>>(args, w);
    if (w.tensor->dtype == base::DType::kF16) begin = few_tokens<V, RowF16<V>>(args, w);
    if (w.tensor->dtype == base::DType::kBF16) begin = few_tokens<V, RowBF16<V>>(args, w);
  }
  for (std::int64_t first = 0; first < args.tokens; first += kWideTile) {
    const std::int64_t tokens = args.tokens - first < kWideTile ? args.tokens - first : kWideTile;
    for (std::int64_t o = begin; o < args.end; o += V::kProductRows) {
      const std::int64_t count = args.end - o < V::kProductRows ? args.end - o : V::kProductRows;
      multiply_rows<V>(args, w, o, count, first, tokens);
    }
  }
}

constexpr std::int64_t kTransposedChunk = 256;  // columns: the smallest piece every format can be decoded in
constexpr std::int64_t kTransposedTile = 16;    // tokens whose sums for one chunk lie in the first-level cache
constexpr std::int64_t kTransposedRows = 4;

// Adds x[r] * rows[r] for four rows, one after the other, to n sums.
template <class V>
void add_rows(const float (*rows)[kTransposedChunk], const float* x, std::int64_t n, float* sums) {
  typename V::F xs[kTransposedRows];
#pragma GCC unroll 4
  for (int r = 0; r < kTransposedRows; ++r) xs[r] = V::set(x[r]);
  for (std::int64_t i = 0; i < n; i += V::kLanes) {
    auto s = V::load(sums + i);
#pragma GCC unroll 4
    for (int r = 0; r < kTransposedRows; ++r) s = V::fma(xs[r], V::load(rows[r] + i), s);
    V::store(sums + i, s);
  }
}

template <class V>
void transposed_chunk(const LinearTransposedArgs& args, const WeightView& w, std::int64_t i, std::int64_t first,
                      std::int64_t tokens) {
  alignas(64) float rows[kTransposedRows][kTransposedChunk];
  alignas(64) float sums[kTransposedTile][kTransposedChunk];
  const std::int64_t n = w.cols - i < kTransposedChunk ? w.cols - i : kTransposedChunk;
  // Whole vectors are computed; what lies past n is zero and is not stored.
  for (auto& row : rows)
    for (std::int64_t k = 0; k < kTransposedChunk; k += V::kLanes) V::store(row + k, V::zero());
  for (std::int64_t t = 0; t < tokens; ++t)
    for (std::int64_t k = 0; k < kTransposedChunk; k += V::kLanes) V::store(sums[t] + k, V::zero());
  for (std::int64_t o = 0; o < w.rows; o += kTransposedRows) {
    const std::int64_t count = w.rows - o < kTransposedRows ? w.rows - o : kTransposedRows;
    for (std::int64_t r = 0; r < count; ++r) decode_chunk<V>(w, o + r, i, n, rows[r]);
    for (std::int64_t t = 0; t < tokens; ++t) {
      const float* x = args.x + (first + t) * args.x_ld + o;
      if (count == kTransposedRows) {
        add_rows<V>(rows, x, n, sums[t]);
      } else {
        for (std::int64_t r = 0; r < count; ++r)
          for (std::int64_t k = 0; k < n; k += V::kLanes)
            V::store(sums[t] + k, V::fma(V::set(x[r]), V::load(rows[r] + k), V::load(sums[t] + k)));
      }
    }
  }
  for (std::int64_t t = 0; t < tokens; ++t)
    for (std::int64_t k = 0; k < n; k += V::kLanes)
      V::store_first(args.out + (first + t) * args.out_ld + i + k, V::load(sums[t] + k), lanes_left<V>(n - k));
}

template <class V>
void linear_transposed_wide(const LinearTransposedArgs& args, Decode decode) {
  const WeightView w = view(*args.weight, decode);
  for (std::int64_t first = 0; first < args.tokens; first += kTransposedTile) {
    const std::int64_t tokens = args.tokens - first < kTransposedTile ? args.tokens - first : kTransposedTile;
    for (std::int64_t i = 0; i < w.cols; i += kTransposedChunk) transposed_chunk<V>(args, w, i, first, tokens);
  }
}

}  // namespace
}  // namespace fathom::kernels
