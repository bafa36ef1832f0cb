// The operations in plain C++: what each one means, what a machine without wide registers runs, and what the faster
// tables are tested against. Nothing here quantises activations.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/error.h"
#include "base/half.h"
#include "kernels/scalar_formats.h"
#include "kernels/tables.h"

namespace fathom::kernels {
namespace {

using base::DType;
using base::Tensor;

constexpr std::int64_t kCacheGroup = 64;   // numbers that share a scale in an 8-bit cache row
constexpr float kSmallestScaled = 1e-30f;  // below about 4e-37, 127 / amax would overflow

// Room for a decoded row, kept by each thread from call to call.
float* row_buffer(std::int64_t n) {
  thread_local std::vector<float> buffer;
  if (buffer.size() < static_cast<std::size_t>(n)) buffer.resize(static_cast<std::size_t>(n));
  return buffer.data();
}

// Eight partial sums (what SSE2 or NEON hold in two registers), folded in halves: an order given by n alone.
float dot(const float* a, const float* b, std::int64_t n) {
  float s[8] = {};
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int k = 0; k < 8; ++k) s[k] += a[i + k] * b[i + k];
  for (int k = 0; i < n; ++i, ++k) s[k] += a[i] * b[i];
  for (int k = 0; k < 4; ++k) s[k] += s[k + 4];
  return (s[0] + s[2]) + (s[1] + s[3]);
}

void linear(const LinearArgs& args) {
  const Tensor& weight = *args.weight;
  const std::int64_t n = weight.cols();
  float* row = row_buffer(n);
  for (std::int64_t o = args.begin; o < args.end; ++o) {
    dequantize_row(kScalarTable, weight, o, row);
    const float bias = args.bias ? args.bias[o] : 0.0f;
    for (std::int64_t t = 0; t < args.tokens; ++t) {
      const float* x = args.in.x + (args.gather ? args.gather[t] : t) * args.in.ld;
      const float y = (dot(row, x, n) + bias) * (args.row_scale ? args.row_scale[t] : 1.0f);
      float& out = args.out[(args.scatter ? args.scatter[t] : t) * args.out_ld + o];
      out = args.accumulate ? out + y : y;
    }
  }
}

void linear_transposed(const LinearTransposedArgs& args) {
  const std::int64_t n = args.weight->cols(), rows = args.weight->rows();
  float* row = row_buffer(n);
  for (std::int64_t t = 0; t < args.tokens; ++t) std::fill_n(args.out + t * args.out_ld, n, 0.0f);
  for (std::int64_t o = 0; o < rows; ++o) {
    dequantize_row(kScalarTable, *args.weight, o, row);
    for (std::int64_t t = 0; t < args.tokens; ++t) {
      const float x = args.x[t * args.x_ld + o];
      float* out = args.out + t * args.out_ld;
      for (std::int64_t i = 0; i < n; ++i) out[i] += row[i] * x;
    }
  }
}

void rms_norm(const float* x, const float* weight, float eps, std::int64_t n, float* out) {
  double squares = 0;
  for (std::int64_t i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * x[i];
  const auto factor = static_cast<float>(1.0 / std::sqrt(squares / static_cast<double>(n) + eps));
  for (std::int64_t i = 0; i < n; ++i) out[i] = x[i] * factor * (weight ? weight[i] : 1.0f);
}

void rope(float* x, const float* cos, const float* sin, std::int64_t pairs, RopeLayout layout) {
  const std::int64_t step = layout == RopeLayout::kInterleaved ? 2 : 1;
  const std::int64_t apart = layout == RopeLayout::kInterleaved ? 1 : pairs;
  for (std::int64_t i = 0; i < pairs; ++i) {
    float& a = x[i * step];
    float& b = x[i * step + apart];
    const float turned = a * cos[i] - b * sin[i];
    b = a * sin[i] + b * cos[i];
    a = turned;
  }
}

void swiglu(const float* gate, const float* up, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
}

// Groups of 64 share scale = amax / 127; the codes are x / scale to the nearest, ties to even. A group that holds a
// number that is not finite becomes NaN as a whole, one too small to be scaled becomes zero.
void store_i8(const float* x, std::int64_t n, std::byte* out) {
  auto* codes = reinterpret_cast<std::int8_t*>(out);
  const std::int64_t padded = (n + 3) / 4 * 4;
  std::memset(codes + n, 0, static_cast<std::size_t>(padded - n));
  for (std::int64_t begin = 0; begin < n; begin += kCacheGroup) {
    const std::int64_t end = std::min(n, begin + kCacheGroup);
    float amax = 0;
    bool finite = true;
    for (std::int64_t i = begin; i < end; ++i) {
      amax = std::max(amax, std::abs(x[i]));
      finite = finite && std::isfinite(x[i]);
    }
    const float inverse = finite && amax >= kSmallestScaled ? 127.0f / amax : 0.0f;
    const float scale = !finite ? std::numeric_limits<float>::quiet_NaN() : inverse > 0 ? amax / 127.0f : 0.0f;
    for (std::int64_t i = begin; i < end; ++i)
      codes[i] = inverse > 0 ? static_cast<std::int8_t>(std::nearbyint(x[i] * inverse)) : std::int8_t{0};
    std::memcpy(out + padded + begin / kCacheGroup * 4, &scale, sizeof scale);
  }
}

void load_i8(const std::byte* row, std::int64_t n, float* out) {
  const auto* codes = reinterpret_cast<const std::int8_t*>(row);
  const std::byte* scales = row + (n + 3) / 4 * 4;
  for (std::int64_t i = 0; i < n; ++i) {
    float scale;
    std::memcpy(&scale, scales + i / kCacheGroup * 4, sizeof scale);
    out[i] = static_cast<float>(codes[i]) * scale;
  }
}

void store_row(const float* x, std::int64_t n, DType type, std::byte* out) {
  if (type == DType::kF32) {
    std::memcpy(out, x, static_cast<std::size_t>(n) * sizeof(float));
  } else if (type == DType::kBF16) {
    for (std::int64_t i = 0; i < n; ++i) {
      const std::uint16_t h = base::f32_to_bf16(x[i]);
      std::memcpy(out + 2 * i, &h, sizeof h);
    }
  } else {
    FATHOM_CHECK(type == DType::kI8);
    store_i8(x, n, out);
  }
}

void load_row(const std::byte* row, std::int64_t n, DType type, float* out) {
  if (type == DType::kI8) return load_i8(row, n, out);
  FATHOM_CHECK(type == DType::kF32 || type == DType::kBF16);
  kScalarTable.decode[static_cast<std::size_t>(type)](row, n, out);
}

void softmax(float* scores, std::int64_t n) {
  const float top = *std::max_element(scores, scores + n);
  float sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += scores[i] = std::exp(scores[i] - top);
  for (std::int64_t i = 0; i < n; ++i) scores[i] /= sum;
}

void attention(const AttentionArgs& args) {
  for (std::int64_t h = 0; h < args.heads; ++h) std::fill_n(args.out + h * args.out_ld, args.value_width, 0.0f);
  if (args.positions == 0) return;
  // Where keys and values are the same rows, a value is the beginning of a row of `width` numbers.
  const std::int64_t value_row = args.value_pages[0] == args.key_pages[0] ? args.width : args.value_width;
  float* row = row_buffer(std::max(args.width, value_row));
  for (std::int64_t s = 0; s < args.positions; ++s) {
    const std::byte* page = args.key_pages[s / args.page_tokens];
    load_row(page + static_cast<std::size_t>(s % args.page_tokens) * args.key_stride, args.width, args.type, row);
    for (std::int64_t h = 0; h < args.heads; ++h)
      args.scratch[h * args.positions + s] = args.scale * dot(row, args.q + h * args.q_ld, args.width);
  }
  for (std::int64_t h = 0; h < args.heads; ++h) softmax(args.scratch + h * args.positions, args.positions);
  for (std::int64_t s = 0; s < args.positions; ++s) {
    const std::byte* page = args.value_pages[s / args.page_tokens];
    load_row(page + static_cast<std::size_t>(s % args.page_tokens) * args.value_stride, value_row, args.type, row);
    for (std::int64_t h = 0; h < args.heads; ++h) {
      const float p = args.scratch[h * args.positions + s];
      float* out = args.out + h * args.out_ld;
      for (std::int64_t i = 0; i < args.value_width; ++i) out[i] += p * row[i];
    }
  }
}

consteval Table scalar_table() {
  Table t;
  t.name = "scalar";
  const auto set = [&t](DType type, auto decode) {
    t.decode[static_cast<std::size_t>(type)] = decode;
    t.linear[static_cast<std::size_t>(type)] = linear;
  };
  set(DType::kF32, scalar::decode_f32);
  set(DType::kF16, scalar::decode_f16);
  set(DType::kBF16, scalar::decode_bf16);
  set(DType::kF8E4M3, scalar::decode_f8e4m3);
  set(DType::kQ4_0, scalar::decode_q4_0);
  set(DType::kQ4_1, scalar::decode_q4_1);
  set(DType::kQ5_0, scalar::decode_q5_0);
  set(DType::kQ5_1, scalar::decode_q5_1);
  set(DType::kQ8_0, scalar::decode_q8_0);
  set(DType::kQ2_K, scalar::decode_q2_k);
  set(DType::kQ3_K, scalar::decode_q3_k);
  set(DType::kQ4_K, scalar::decode_q4_k);
  set(DType::kQ5_K, scalar::decode_q5_k);
  set(DType::kQ6_K, scalar::decode_q6_k);
  set(DType::kIQ4_NL, scalar::decode_iq4_nl);
  set(DType::kIQ4_XS, scalar::decode_iq4_xs);
  set(DType::kMXFP4, scalar::decode_mxfp4);
  t.linear_f32 = linear;
  t.linear_transposed = linear_transposed;
  t.rms_norm = rms_norm;
  t.rope = rope;
  t.swiglu = swiglu;
  t.attention = attention;
  t.store_row = store_row;
  t.load_row = load_row;
  return t;
}

}  // namespace

constinit const Table kScalarTable = scalar_table();

}  // namespace fathom::kernels
