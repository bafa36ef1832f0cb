#include "weights/quantize_mixture.h"

#include <array>

#include "weights/names.h"

namespace fathom::weights {
namespace {

using base::DType;

constexpr std::array kFileTypes = std::to_array<FileType>({
    {"q8_0", DType::kQ8_0, 7},
    {"q6_k", DType::kQ6_K, 18},
    {"q5_k_m", DType::kQ5_K, 17, true},
    {"q4_k_m", DType::kQ4_K, 15, true},
    {"q4_0", DType::kQ4_0, 2},
    {"bf16", DType::kBF16, 32},
    {"f16", DType::kF16, 1},
    {"f32", DType::kF32, 0},
});

bool contains(std::string_view name, std::string_view part) {
  return name.find(part) != name.npos;
}

// Norms, biases, the router and divisors of frequencies: small, and read by every token.
bool stays_f32(std::string_view name, std::span<const std::int64_t> shape) {
  return shape.size() < 2 || !name.ends_with(".weight") || contains(name, "_norm.weight") ||
         contains(name, "ffn_gate_inp.weight");
}

// The first eighth of the layers, the last, and every third between.
bool matters(std::int64_t layer, std::int64_t layers) {
  const std::int64_t eighth = layers / 8;
  return layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
}

DType wanted(const FileType& file, const MixtureModel& model, std::string_view name) {
  const DType base = file.base;
  if (!base::is_block_format(base)) return base;
  if (name == "output.weight" || (model.tied && name == "token_embd.weight"))
    return base == DType::kQ8_0 ? base : DType::kQ6_K;
  // The halves of kv_b group its numbers otherwise than it did, and one is turned round: at least 8 bits, or the logits
  // move more than by the quantising of the whole.
  if (contains(name, "attn_k_b.weight") || contains(name, "attn_v_b.weight")) return DType::kQ8_0;
  const bool more = file.mixed && matters(std::max<std::int64_t>(0, layer_of(name)), model.layers);
  if (contains(name, "attn_v.weight") || contains(name, "attn_kv_b.weight")) {
    if (model.experts == 8) return DType::kQ8_0;  // next to eight experts it weighs nothing
    if (more) return DType::kQ6_K;
    // Read by so many heads, and that much smaller than the queries' matrix.
    if (base == DType::kQ4_K && model.queries_per_key >= 8) return DType::kQ5_K;
  }
  if (contains(name, "attn_k.weight") && model.experts == 8) return DType::kQ8_0;
  if (contains(name, "attn_output.weight") && model.experts == 8 && base == DType::kQ4_K) return DType::kQ5_K;
  if (contains(name, "ffn_down") && more) return DType::kQ6_K;
  return base;
}

// Rows that are no whole number of blocks get the next type with smaller ones.
DType fitting(DType type, std::int64_t columns) {
  const auto fits = [&](DType t) { return columns % base::info(t).block_elems == 0; };
  if (!fits(type)) {
    if (type == DType::kQ4_K) type = DType::kQ5_0;
    if (type == DType::kQ5_K) type = DType::kQ5_1;
    if (type == DType::kQ6_K) type = DType::kQ8_0;
  }
  return fits(type) ? type : DType::kF16;
}

}  // namespace

std::span<const FileType> file_types() {
  return kFileTypes;
}

const FileType* find_file_type(std::string_view name) {
  for (const FileType& type : kFileTypes)
    if (type.name == name) return &type;
  return nullptr;
}

DType tensor_type(const FileType& file, const MixtureModel& model, std::string_view name,
                  std::span<const std::int64_t> shape) {
  if (stays_f32(name, shape)) return DType::kF32;
  return fitting(wanted(file, model, name), shape.back());
}

}  // namespace fathom::weights
