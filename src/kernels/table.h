// Every operation the models need, as plain-struct arguments and one table of functions per instruction set. The scalar
// functions define what each operation means; a faster one must agree within the tolerance its test derives. A function
// works on the part of the output it is told (a range of rows), so that threads share an operation by calling it on
// disjoint ranges. Layers, requests and files are not known here.
//
// The rule that makes results reproducible: one output element is summed in an order that depends on the widths alone,
// never on how many tokens share the call, on the range, or on the number of threads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/dtype.h"
#include "base/tensor.h"

namespace fathom::kernels {

// Rows of activations, [tokens][width] fp32, and the same rows as `Table::pack` made them (8-bit codes with scales; what
// fast products with block formats read). `packed` is null where the table packs nothing.
struct Activations {
  const float* x = nullptr;
  std::int64_t ld = 0;  // floats between rows
  const std::byte* packed = nullptr;
  std::size_t packed_stride = 0;  // bytes between packed rows
};

// y = W x (+ bias): out[scatter(t)][o] (+)= row_scale[t] * (sum_i W[o][i] * in[gather(t)][i] + bias[o]), begin <= o < end.
struct LinearArgs {
  const base::Tensor* weight = nullptr;  // [out, in]
  const float* bias = nullptr;           // [out] or null
  Activations in;
  std::int64_t tokens = 0;
  float* out = nullptr;
  std::int64_t out_ld = 0;               // floats between output rows
  std::int64_t begin = 0, end = 0;       // output features this call computes
  const std::int32_t* gather = nullptr;  // input row of token t; null: row t
  const std::int32_t* scatter = nullptr; // output row of token t; null: row t
  const float* row_scale = nullptr;      // null: 1
  bool accumulate = false;               // add to what `out` holds
};

// y = W^T x: out[t][i] = sum_o W[o][i] * x[t][o] for all i; W [out, in] (absorbs a key projection into a query).
struct LinearTransposedArgs {
  const base::Tensor* weight = nullptr;
  const float* x = nullptr;
  std::int64_t x_ld = 0;
  std::int64_t tokens = 0;
  float* out = nullptr;
  std::int64_t out_ld = 0;
};

// Softmax attention of one token's `heads` query rows that share one key-value head, over positions 0 .. positions - 1:
// p = softmax(scale * q . k_s) in fp32, out = sum_s p_s v_s. Rows of keys and values lie in pages of `page_tokens`
// positions; page p's rows start at key_pages[p] and follow each other at key_stride bytes. Latent attention passes the
// same rows as keys and values, with value_width below width (the first numbers of a row are the value): a value row
// holds `width` numbers where value_pages[0] == key_pages[0], else value_width.
struct AttentionArgs {
  std::int64_t heads = 0;
  const float* q = nullptr;
  std::int64_t q_ld = 0;
  std::int64_t width = 0, value_width = 0;
  base::DType type = base::DType::kF32;  // of keys and values: kF32, kBF16 or kI8 (see cache_row_bytes)
  const std::byte* const* key_pages = nullptr;
  const std::byte* const* value_pages = nullptr;
  std::size_t key_stride = 0, value_stride = 0;
  std::int64_t page_tokens = 0;
  std::int64_t positions = 0;
  float scale = 1;
  float* out = nullptr;       // [heads][value_width]
  std::int64_t out_ld = 0;
  float* scratch = nullptr;   // heads * positions floats, the caller's
};

enum class RopeLayout : std::uint8_t { kInterleaved, kHalf };  // pairs (2i, 2i+1), or (i, i + d/2)

struct Table {
  std::string_view name;  // "scalar", "avx2", "avx512"

  // 8-bit form of one row of n activations, for block formats; null in the scalar table.
  std::size_t (*packed_bytes)(std::int64_t n) = nullptr;
  void (*pack)(const float* x, std::int64_t n, std::byte* out) = nullptr;

  // One row of n elements of a block or plain format to fp32; `scale` as in base::Tensor is not applied (dequantize_row does).
  std::array<void (*)(const std::byte* row, std::int64_t n, float* out), base::kDTypeCount> decode{};

  // Reads args.in.packed for block formats where the table packs, args.in.x for everything else.
  std::array<void (*)(const LinearArgs&), base::kDTypeCount> linear{};
  // The same product with fp32 activations for every type: what latent attention's own projections use, whose two forms
  // must agree more closely than 8-bit activations would let them.
  void (*linear_f32)(const LinearArgs&) = nullptr;
  void (*linear_transposed)(const LinearTransposedArgs&) = nullptr;

  // out = weight * x / sqrt(mean(x^2) + eps); out may be x. weight null: 1.
  void (*rms_norm)(const float* x, const float* weight, float eps, std::int64_t n, float* out) = nullptr;
  // Rotates the first 2*pairs numbers of x by the angles whose cosines and sines are given [pairs].
  void (*rope)(float* x, const float* cos, const float* sin, std::int64_t pairs, RopeLayout layout) = nullptr;
  void (*swiglu)(const float* gate, const float* up, std::int64_t n, float* out) = nullptr;  // silu(gate) * up
  void (*attention)(const AttentionArgs&) = nullptr;
  // fp32 row to a row of the cache (cache_row_bytes long): fp32, bf16 (nearest even), or 8 bits in groups of 64.
  void (*store_row)(const float* x, std::int64_t n, base::DType type, std::byte* out) = nullptr;
  void (*load_row)(const std::byte* row, std::int64_t n, base::DType type, float* out) = nullptr;
};

// Bytes of one cached row of n numbers. kI8: n codes, padded to 4 bytes, then an fp32 scale for each group of 64 (a group
// with a number that is not finite reads back as NaN).
std::size_t cache_row_bytes(base::DType type, std::int64_t n);

// Row r of a weight in fp32, FP8 block scales applied.
void dequantize_row(const Table& table, const base::Tensor& weight, std::int64_t r, float* out);

// The fastest table this processor and operating system run, or the one FATHOM_KERNELS names (`scalar`, `avx2`,
// `avx512`); holes are filled from the table below. Chosen once. An unknown or unsupported name in the environment is
// reported by `selection_error` and leaves the choice automatic.
const Table& table();
std::string_view selection_error();
// The table of that name, or null where this machine cannot run it.
const Table* find_table(std::string_view name);

}  // namespace fathom::kernels
