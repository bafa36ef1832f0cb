// Fills the table of an instruction set V from the operations written for any V (wide_*.h, block_products.h) and from
// V's own unpacking of block formats (formats_*.h). All of it happens at compile time.
#pragma once

#include "kernels/block_products.h"
#include "kernels/table.h"
#include "kernels/wide_attention.h"
#include "kernels/wide_products.h"
#include "kernels/wide_rows.h"

namespace fathom::kernels {
namespace {

using base::DType;

// A plain array, because an index into std::array calls an inline function of the library.
struct Decoders {
  Decode of[base::kDTypeCount];
};

template <class V, DType... kBlockTypes>
consteval Decoders decoders() {
  Decoders d{};
  d.of[static_cast<int>(DType::kF32)] = decode_plain<RowF32<V>, V>;
  d.of[static_cast<int>(DType::kF16)] = decode_plain<RowF16<V>, V>;
  d.of[static_cast<int>(DType::kBF16)] = decode_plain<RowBF16<V>, V>;
  d.of[static_cast<int>(DType::kF8E4M3)] = decode_plain<RowF8E4M3<V>, V>;
  ((d.of[static_cast<int>(kBlockTypes)] = decode_blocks<V, BlockFormat<V, kBlockTypes>>), ...);
  return d;
}

template <class V, DType... kBlockTypes>
struct Fill {
  static constexpr Decoders kDecoders = decoders<V, kBlockTypes...>();

  static void linear_f32(const LinearArgs& args) {
    linear_wide<V>(args, kDecoders.of[static_cast<int>(args.weight->dtype)]);
  }
  static void linear_transposed(const LinearTransposedArgs& args) {
    linear_transposed_wide<V>(args, kDecoders.of[static_cast<int>(args.weight->dtype)]);
  }

  static consteval Table table(std::string_view name) {
    Table t;
    t.name = name;
    t.packed_bytes = packed_bytes<V>;
    t.pack = pack<V>;
    for (std::size_t i = 0; i < base::kDTypeCount; ++i) t.decode[i] = kDecoders.of[i];
    for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kF8E4M3})
      t.linear[static_cast<std::size_t>(type)] = linear_f32;
    ((t.linear[static_cast<std::size_t>(kBlockTypes)] = linear_blocks<V, BlockFormat<V, kBlockTypes>>), ...);
    t.linear_f32 = linear_f32;
    t.linear_transposed = linear_transposed;
    t.rms_norm = rms_norm<V>;
    t.rope = rope<V>;
    t.swiglu = swiglu<V>;
    t.attention = attention<V>;
    t.store_row = store_row<V>;
    t.load_row = load_row<V>;
    return t;
  }
};

template <class V>
using FillAll =
    Fill<V, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0, DType::kQ2_K, DType::kQ3_K,
         DType::kQ4_K, DType::kQ5_K, DType::kQ6_K, DType::kIQ4_NL, DType::kIQ4_XS, DType::kMXFP4>;

}  // namespace
}  // namespace fathom::kernels
