// Softmax attention of one token for any vector V of fp32 lanes. All scores first, then the softmax, then the weighted
// sum of values; both passes go over positions in blocks whose rows stay in the cache while all heads read them. A
// head's numbers do not depend on which heads share the call.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/table.h"
#include "kernels/wide_rows.h"

namespace fathom::kernels {
namespace {

constexpr std::int64_t kPositionBlock = 32;

// A cache row of kI8: its codes, and the scale of the group element i lies in. kLanes divides the group.
template <class V>
struct CacheI8 {
  static constexpr std::int64_t kBytes = 1;
  static typename V::F scale(const std::byte* row, std::int64_t i, std::int64_t n) {
    return V::set(cache_scales(row, n)[i / kCacheGroup]);
  }
  static typename V::F load(const std::byte* row, std::int64_t i, std::int64_t n) {
    return V::mul(V::from_i8(V::bytes(row + i)), scale(row, i, n));
  }
  static typename V::F load_first(const std::byte* row, std::int64_t i, std::int64_t m, std::int64_t n) {
    return V::mul(V::from_i8(V::bytes_first(row + i, m)), scale(row, i, n));
  }
};

// The same interface for plain rows, whose length n does not matter.
template <class V, class Row>
struct CachePlain {
  static constexpr std::int64_t kBytes = Row::kBytes;
  static typename V::F load(const std::byte* row, std::int64_t i, std::int64_t) { return Row::load(row, i); }
  static typename V::F load_first(const std::byte* row, std::int64_t i, std::int64_t m, std::int64_t) {
    return Row::load_first(row, i, m);
  }
};

// Rows of kPositionBlock positions (the last repeated to a multiple of four), and the rows of the block after it, whose
// bytes are fetched one by one while this block's are worked on: asked for all at once, they would hold up the others.
struct PositionBlock {
  const std::byte* rows[kPositionBlock];
  const std::byte* next[kPositionBlock];
  std::int64_t count;
};

// Scores of kHeads queries against rows s .. s + 3 of a block, the first `count` of which are stored.
template <class V, class Cache, int kHeads>
void score_rows(const AttentionArgs& args, std::int64_t head, const PositionBlock& block, std::int64_t first,
                std::int64_t count, float* scores) {
  const std::byte* const* rows = block.rows + first;
  const std::byte* const* next = (head == 0 ? block.next : block.rows) + first;
  const float* q = args.q + head * args.q_ld;
  typename V::F acc[kHeads][4], k[4];
#pragma GCC unroll 8
  for (int h = 0; h < kHeads; ++h)
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) acc[h][s] = V::zero();
  std::int64_t i = 0;
  for (; i + V::kLanes <= args.width; i += V::kLanes) {
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) k[s] = Cache::load(rows[s], i, args.width);
    if (i * Cache::kBytes % 64 == 0) {
#pragma GCC unroll 4
      for (int s = 0; s < 4; ++s) __builtin_prefetch(next[s] + i * Cache::kBytes, 0, 2);
    }
#pragma GCC unroll 8
    for (int h = 0; h < kHeads; ++h) {
      const auto x = V::load(q + h * args.q_ld + i);
#pragma GCC unroll 4
      for (int s = 0; s < 4; ++s) acc[h][s] = V::fma(x, k[s], acc[h][s]);
    }
  }
  if (i < args.width) {
    const std::int64_t m = args.width - i;
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) k[s] = Cache::load_first(rows[s], i, m, args.width);
#pragma GCC unroll 8
    for (int h = 0; h < kHeads; ++h) {
      const auto x = V::load_first(q + h * args.q_ld + i, m);
#pragma GCC unroll 4
      for (int s = 0; s < 4; ++s) acc[h][s] = V::fma(x, k[s], acc[h][s]);
    }
  }
#pragma GCC unroll 8
  for (int h = 0; h < kHeads; ++h) {
    float four[4];
    _mm_storeu_ps(four, _mm_mul_ps(V::sum4(acc[h][0], acc[h][1], acc[h][2], acc[h][3]), _mm_set1_ps(args.scale)));
    float* out = scores + (head + h) * args.positions;
    for (std::int64_t s = 0; s < count; ++s) out[s] = four[s];
  }
}

// out[h][i ..] += sum over rows of p[h][row] * value, for kHeads heads and kVectors vectors of columns (the last one of
// m lanes where kVectors is 1).
template <class V, class Cache, int kHeads, int kVectors>
void add_values(const AttentionArgs& args, std::int64_t head, const PositionBlock& block, std::int64_t row_n,
                std::int64_t i, std::int64_t m, const float* p) {
  const std::byte* const* next = head == 0 ? block.next : block.rows;
  typename V::F acc[kHeads][kVectors], v[kVectors];
  float* out = args.out + head * args.out_ld + i;
#pragma GCC unroll 8
  for (int h = 0; h < kHeads; ++h)
#pragma GCC unroll 4
    for (int k = 0; k < kVectors; ++k)
      acc[h][k] =
          kVectors == 1 ? V::load_first(out + h * args.out_ld, m) : V::load(out + h * args.out_ld + k * V::kLanes);
  for (std::int64_t s = 0; s < block.count; ++s) {
    const std::byte* row = block.rows[s];
#pragma GCC unroll 4
    for (std::int64_t b = 0; b < kVectors * V::kLanes * Cache::kBytes; b += 64)
      __builtin_prefetch(next[s] + i * Cache::kBytes + b, 0, 2);
#pragma GCC unroll 4
    for (int k = 0; k < kVectors; ++k)
      v[k] = kVectors == 1 ? Cache::load_first(row, i, m, row_n) : Cache::load(row, i + k * V::kLanes, row_n);
#pragma GCC unroll 8
    for (int h = 0; h < kHeads; ++h) {
      const auto weight = V::set(p[(head + h) * args.positions + s]);
#pragma GCC unroll 4
      for (int k = 0; k < kVectors; ++k) acc[h][k] = V::fma(weight, v[k], acc[h][k]);
    }
  }
#pragma GCC unroll 8
  for (int h = 0; h < kHeads; ++h)
#pragma GCC unroll 4
    for (int k = 0; k < kVectors; ++k) {
      if (kVectors == 1) {
        V::store_first(out + h * args.out_ld, acc[h][k], m);
      } else {
        V::store(out + h * args.out_ld + k * V::kLanes, acc[h][k]);
      }
    }
}

// Calls body.template run<n>(head) for groups of at most V::kHeads heads that cover all of them.
template <int kHeads, class Body>
void each_head_group(std::int64_t begin, std::int64_t heads, Body body) {
  for (; begin + kHeads <= heads; begin += kHeads) body.template run<kHeads>(begin);
  if constexpr (kHeads > 1) {
    if (begin < heads) each_head_group<kHeads - 1>(begin, heads, body);
  }
}

template <class V, class Cache>
struct ScoreBlock {
  const AttentionArgs& args;
  const PositionBlock& block;
  float* scores;

  template <int kHeads>
  void run(std::int64_t head) {
    for (std::int64_t s = 0; s < block.count; s += 4) {
      const std::int64_t four = block.count - s < 4 ? block.count - s : 4;
      score_rows<V, Cache, kHeads>(args, head, block, s, four, scores + s);
    }
  }
};

template <class V, class Cache>
struct ValueBlock {
  const AttentionArgs& args;
  const PositionBlock& block;
  std::int64_t row_n;
  const float* p;

  template <int kHeads>
  void run(std::int64_t head) {
    const std::int64_t n = args.value_width;
    std::int64_t i = 0;
    for (; i + 4 * V::kLanes <= n; i += 4 * V::kLanes)
      add_values<V, Cache, kHeads, 4>(args, head, block, row_n, i, 0, p);
    for (; i < n; i += V::kLanes) add_values<V, Cache, kHeads, 1>(args, head, block, row_n, i, lanes_left<V>(n - i), p);
  }
};

// Pointers to the rows of `count` positions from `begin` on.
inline void find_rows(const AttentionArgs& args, const std::byte* const* pages, std::size_t stride, std::int64_t begin,
                      std::int64_t count, const std::byte** rows) {
  std::int64_t page = begin / args.page_tokens, at = begin % args.page_tokens;
  for (std::int64_t s = 0; s < count; ++s) {
    rows[s] = pages[page] + static_cast<std::size_t>(at) * stride;
    if (++at == args.page_tokens) {
      at = 0;
      ++page;
    }
  }
}

// Calls body(block, first position) for all positions.
template <class Body>
void each_position_block(const AttentionArgs& args, const std::byte* const* pages, std::size_t stride, Body body) {
  const auto in_block = [&](std::int64_t begin) {
    const std::int64_t left = args.positions - begin;
    return left < 0 ? 0 : left < kPositionBlock ? left : kPositionBlock;
  };
  PositionBlock block;
  find_rows(args, pages, stride, 0, in_block(0), block.next);
  for (std::int64_t s = 0; s < args.positions; s += kPositionBlock) {
    block.count = in_block(s);
    for (std::int64_t k = 0; k < kPositionBlock; ++k)
      block.rows[k] = block.next[k] = block.next[k < block.count ? k : block.count - 1];
    find_rows(args, pages, stride, s + kPositionBlock, in_block(s + kPositionBlock), block.next);
    body(block, s);
  }
}

// Softmax in place. The lanes of the last vector that lie past n take part in nothing.
template <class V>
void softmax(float* scores, std::int64_t n) {
  float top = -__builtin_inff();
  std::int64_t i = 0;
  auto tops = V::set(top);
  for (; i + V::kLanes <= n; i += V::kLanes) tops = V::max(tops, V::load(scores + i));
  for (top = V::top(tops); i < n; ++i) top = scores[i] > top ? scores[i] : top;
  auto sums = V::zero();
  for (i = 0; i < n; i += V::kLanes) {
    const std::int64_t m = lanes_left<V>(n - i);
    const auto e = exponential<V>(V::sub(V::load_first(scores + i, m), V::set(top)));
    V::store_first(scores + i, e, m);
    sums = V::add(sums, m == V::kLanes ? e : V::load_first(scores + i, m));
  }
  const auto inverse = V::set(1.0f / V::sum(sums));
  for (i = 0; i < n; i += V::kLanes) {
    const std::int64_t m = lanes_left<V>(n - i);
    V::store_first(scores + i, V::mul(V::load_first(scores + i, m), inverse), m);
  }
}

template <class V, class Cache>
void attend(const AttentionArgs& args) {
  const std::int64_t value_row = args.value_pages[0] == args.key_pages[0] ? args.width : args.value_width;
  each_position_block(args, args.key_pages, args.key_stride, [&](const PositionBlock& block, std::int64_t s) {
    each_head_group<V::kHeads>(0, args.heads, ScoreBlock<V, Cache>{args, block, args.scratch + s});
  });
  for (std::int64_t h = 0; h < args.heads; ++h) softmax<V>(args.scratch + h * args.positions, args.positions);
  each_position_block(args, args.value_pages, args.value_stride, [&](const PositionBlock& block, std::int64_t s) {
    each_head_group<V::kHeads>(0, args.heads, ValueBlock<V, Cache>{args, block, value_row, args.scratch + s});
  });
}

template <class V>
void attention(const AttentionArgs& args) {
  for (std::int64_t h = 0; h < args.heads; ++h)
    for (std::int64_t i = 0; i < args.value_width; i += V::kLanes)
      V::store_first(args.out + h * args.out_ld + i, V::zero(), lanes_left<V>(args.value_width - i));
  if (args.positions == 0) return;
  if (args.type == base::DType::kI8) return attend<V, CacheI8<V>>(args);
  if (args.type == base::DType::kBF16) return attend<V, CachePlain<V, RowBF16<V>>>(args);
  attend<V, CachePlain<V, RowF32<V>>>(args);
}

}  // namespace
}  // namespace fathom::kernels
