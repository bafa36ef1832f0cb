#include "model/step.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"

namespace fathom::model {

using kernels::Activations;

Step::Step(const StepResources& resources, std::span<const Row> rows, std::span<const SequencePages> sequences)
    : r_(resources), rows_(rows), sequences_(sequences) {}

void Step::each_row(std::int64_t n, base::FunctionRef<void(std::int64_t, std::int64_t)> work) {
  // A few rows at a time: their work is short, and rows of one thread share cache lines.
  const std::int64_t grain = std::max<std::int64_t>(1, std::min<std::int64_t>(8, n / (4 * pool().threads())));
  pool().loop(n, grain, [&](std::int64_t begin, std::int64_t end, int) { work(begin, end); });
}

float* Step::embed(const base::Tensor& embedding, std::int64_t dim) {
  float* x = floats(rows(), dim);
  each_row(rows(), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t)
      kernels::dequantize_row(table(), embedding, rows_[static_cast<std::size_t>(t)].token, x + t * dim);
  });
  return x;
}

std::byte* Step::packed_rows(std::int64_t n, std::int64_t width, std::size_t& stride) {
  if (!r_.pack || table().pack == nullptr) return nullptr;
  stride = (table().packed_bytes(width) + 63) / 64 * 64;
  return arena().bytes(stride * static_cast<std::size_t>(n));
}

Activations Step::norm(const float* x, std::int64_t n, std::int64_t width, std::span<const float> weight, float eps) {
  Activations a{.ld = width};
  float* y = floats(n, width);
  std::byte* packed = packed_rows(n, width, a.packed_stride);
  each_row(n, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      table().rms_norm(x + t * width, weight.empty() ? nullptr : weight.data(), eps, width, y + t * width);
      if (packed != nullptr) table().pack(y + t * width, width, packed + static_cast<std::size_t>(t) * a.packed_stride);
    }
  });
  a.x = y;
  a.packed = packed;
  return a;
}

Activations Step::activations(const float* x, std::int64_t n, std::int64_t width) {
  Activations a{.x = x, .ld = width};
  std::byte* packed = packed_rows(n, width, a.packed_stride);
  if (packed != nullptr)
    each_row(n, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t t = begin; t < end; ++t)
        table().pack(x + t * width, width, packed + static_cast<std::size_t>(t) * a.packed_stride);
    });
  a.packed = packed;
  return a;
}

Activations Step::swiglu(const float* gate, const float* up, std::int64_t n, std::int64_t width) {
  Activations a{.ld = width};
  float* y = floats(n, width);
  std::byte* packed = packed_rows(n, width, a.packed_stride);
  each_row(n, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      table().swiglu(gate + t * width, up + t * width, width, y + t * width);
      if (packed != nullptr) table().pack(y + t * width, width, packed + static_cast<std::size_t>(t) * a.packed_stride);
    }
  });
  a.x = y;
  a.packed = packed;
  return a;
}

void Step::project(const Activations& in, std::int64_t n, std::initializer_list<Projection> projections) {
  if (n == 0) return;
  std::int64_t total = 0;
  for (const auto& p : projections) total += p.weight->rows();
  // About eight ranges a thread: enough to even out a thread that another program holds up, few enough to cost nothing.
  const std::int64_t grain = std::max<std::int64_t>(16, (total / (8 * pool().threads()) + 15) / 16 * 16);
  pool().loop(total, grain, [&](std::int64_t begin, std::int64_t end, int) {
    std::int64_t base = 0;  // first feature of the projection at hand in the common count
    for (const auto& p : projections) {
      const std::int64_t features = p.weight->rows();
      const std::int64_t from = std::max(begin, base) - base, to = std::min(end, base + features) - base;
      base += features;
      if (from >= to) continue;
      table().linear[static_cast<std::size_t>(p.weight->dtype)]({.weight = p.weight,
                                                                 .bias = p.bias.empty() ? nullptr : p.bias.data(),
                                                                 .in = in,
                                                                 .tokens = n,
                                                                 .out = p.out,
                                                                 .out_ld = features,
                                                                 .begin = from,
                                                                 .end = to,
                                                                 .accumulate = p.accumulate});
    }
  });
}

Step::Angles Step::angles(std::span<const float> frequencies, float amplitude) {
  const auto pairs = static_cast<std::int64_t>(frequencies.size());
  float* cos = floats(rows(), pairs);
  float* sin = floats(rows(), pairs);
  each_row(rows(), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t)
      for (std::int64_t i = 0; i < pairs; ++i) {
        // The angle is rounded to fp32 before its cosine is taken, as the reference does.
        const float angle =
            static_cast<float>(rows_[static_cast<std::size_t>(t)].position) * frequencies[static_cast<std::size_t>(i)];
        cos[t * pairs + i] = std::cos(angle) * amplitude;
        sin[t * pairs + i] = std::sin(angle) * amplitude;
      }
  });
  return {cos, sin, pairs};
}

std::byte* Step::cached(std::int64_t row, std::int64_t position, std::int64_t layer, std::size_t plane,
                        std::int64_t head) const {
  const auto& sequence = sequences_[static_cast<std::size_t>(rows_[static_cast<std::size_t>(row)].sequence)];
  const auto page = static_cast<std::size_t>(position / r_.cache.page_tokens);
  const auto slot = static_cast<std::size_t>(position % r_.cache.page_tokens);
  return sequence.pages[page] + r_.cache.offset(layer, plane, head) + slot * r_.cache.row_bytes(plane);
}

std::byte* Step::cache_row(std::int64_t row, std::int64_t layer, std::size_t plane, std::int64_t head) const {
  return cached(row, rows_[static_cast<std::size_t>(row)].position, layer, plane, head);
}

void Step::attend(std::int64_t first, std::int64_t n, const Attention& a) {
  if (n == 0) return;
  const CacheLayout& cache = r_.cache;
  const std::int64_t kv_heads = cache.planes[a.key_plane].heads;
  const std::int64_t group = a.heads / kv_heads;
  std::int64_t longest = 0;
  for (std::int64_t t = first; t < first + n; ++t)
    longest = std::max<std::int64_t>(longest, rows_[static_cast<std::size_t>(t)].position + 1);
  const std::int64_t pages = (longest + cache.page_tokens - 1) / cache.page_tokens;

  // Heads that share keys are computed together, but in parts where there are too few for all threads, and never so
  // many that their scores outgrow the second-level cache. A head's result does not depend on the parting.
  std::int64_t part = group;
  while (part > 1 && (n * kv_heads * ((group + part - 1) / part) < 2 * pool().threads() || part > 16))
    part = (part + 1) / 2;
  const std::int64_t parts = (group + part - 1) / part;

  const auto mark = arena().mark();
  float* scratch = floats(pool().threads(), part * longest);
  auto** key_pages = arena().array<const std::byte*>(pool().threads() * pages);
  auto** value_pages = arena().array<const std::byte*>(pool().threads() * pages);
  pool().loop(n * kv_heads * parts, 1, [&](std::int64_t begin, std::int64_t end, int thread) {
    const std::byte** keys = key_pages + thread * pages;
    const std::byte** values = value_pages + thread * pages;
    for (std::int64_t item = begin; item < end; ++item) {
      const std::int64_t t = item / (kv_heads * parts), head = item / parts % kv_heads, from = item % parts * part;
      const Row& row = rows_[static_cast<std::size_t>(first + t)];
      const auto& sequence = sequences_[static_cast<std::size_t>(row.sequence)];
      const std::size_t key_offset = cache.offset(a.layer, a.key_plane, head),
                        value_offset = cache.offset(a.layer, a.value_plane, head);
      for (std::int64_t p = 0; p <= row.position / cache.page_tokens; ++p) {
        keys[p] = sequence.pages[static_cast<std::size_t>(p)] + key_offset;
        values[p] = sequence.pages[static_cast<std::size_t>(p)] + value_offset;
      }
      const std::int64_t query = t * a.heads + head * group + from;
      table().attention({.heads = std::min(part, group - from),
                         .q = a.q + query * a.width,
                         .q_ld = a.width,
                         .width = a.width,
                         .value_width = a.value_width,
                         .type = cache.type,
                         .key_pages = keys,
                         .value_pages = values,
                         .key_stride = cache.row_bytes(a.key_plane),
                         .value_stride = cache.row_bytes(a.value_plane),
                         .page_tokens = cache.page_tokens,
                         .positions = row.position + 1,
                         .scale = a.scale,
                         .out = a.out + query * a.value_width,
                         .out_ld = a.value_width,
                         .scratch = scratch + thread * part * longest});
    }
  });
  arena().release(mark);
}

void Step::finish(const float* x, std::int64_t dim, std::span<const float> norm_weight, float eps,
                  const base::Tensor& head) {
  float* y = floats(rows(), dim);
  each_row(rows(), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) table().rms_norm(x + t * dim, norm_weight.data(), eps, dim, y + t * dim);
  });
  hidden = y;
  std::int64_t wanted = 0;
  for (const Row& row : rows_) wanted += row.logits ? 1 : 0;
  float* chosen = floats(wanted, dim);
  std::int64_t i = 0;
  for (std::int64_t t = 0; t < rows(); ++t)
    if (rows_[static_cast<std::size_t>(t)].logits)
      std::memcpy(chosen + i++ * dim, y + t * dim, sizeof(float) * static_cast<std::size_t>(dim));
  float* out = floats(wanted, head.rows());
  project(activations(chosen, wanted, dim), wanted, {{.weight = &head, .out = out}});
  logits = {out, static_cast<std::size_t>(wanted * head.rows())};
}

}  // namespace fathom::model
