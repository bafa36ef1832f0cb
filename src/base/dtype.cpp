#include "base/dtype.h"

#include <array>

#include "base/error.h"

namespace fathom::base {
namespace {

// Sizes and ids: GGUF's block formats (ggml type ids) and the plain types of safetensors.
constexpr std::array<DTypeInfo, kDTypeCount> kTable{{
    {DType::kF32, "f32", 1, 4, 0},          {DType::kF16, "f16", 1, 2, 1},
    {DType::kBF16, "bf16", 1, 2, 30},       {DType::kF8E4M3, "f8_e4m3", 1, 1, -1},
    {DType::kF8E8M0, "f8_e8m0", 1, 1, -1},  {DType::kF64, "f64", 1, 8, 28},
    {DType::kI8, "i8", 1, 1, 24},           {DType::kI16, "i16", 1, 2, 25},
    {DType::kI32, "i32", 1, 4, 26},         {DType::kI64, "i64", 1, 8, 27},
    {DType::kU8, "u8", 1, 1, -1},           {DType::kBool, "bool", 1, 1, -1},
    {DType::kQ4_0, "q4_0", 32, 18, 2},      {DType::kQ4_1, "q4_1", 32, 20, 3},
    {DType::kQ5_0, "q5_0", 32, 22, 6},      {DType::kQ5_1, "q5_1", 32, 24, 7},
    {DType::kQ8_0, "q8_0", 32, 34, 8},      {DType::kQ2_K, "q2_k", 256, 84, 10},
    {DType::kQ3_K, "q3_k", 256, 110, 11},   {DType::kQ4_K, "q4_k", 256, 144, 12},
    {DType::kQ5_K, "q5_k", 256, 176, 13},   {DType::kQ6_K, "q6_k", 256, 210, 14},
    {DType::kIQ4_NL, "iq4_nl", 32, 18, 20}, {DType::kIQ4_XS, "iq4_xs", 256, 136, 23},
    {DType::kMXFP4, "mxfp4", 32, 17, 39},
}};

constexpr bool in_order() {
  for (std::size_t i = 0; i < kTable.size(); ++i)
    if (static_cast<std::size_t>(kTable[i].dtype) != i) return false;
  return true;
}
static_assert(in_order(), "the table's rows stand in the order of the enumeration");

}  // namespace

const DTypeInfo& info(DType dtype) {
  FATHOM_CHECK(dtype < DType::kCount);
  return kTable[static_cast<std::size_t>(dtype)];
}

std::optional<DType> dtype_from_ggml(std::uint32_t id) {
  for (const auto& row : kTable)
    if (row.ggml_id >= 0 && static_cast<std::uint32_t>(row.ggml_id) == id) return row.dtype;
  return std::nullopt;
}

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const auto& row : kTable)
    if (row.name == name) return row.dtype;
  return std::nullopt;
}

}  // namespace fathom::base
