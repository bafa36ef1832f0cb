// Element types of tensors as files store them, and how many bytes their blocks take. A block format is one row of the
// table in dtype.cpp; how its bits decode is known to `kernels` alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace fathom::base {

enum class DType : std::uint8_t {
  kF32,
  kF16,
  kBF16,
  kF8E4M3,
  kF8E8M0,
  kF64,
  kI8,
  kI16,
  kI32,
  kI64,
  kU8,
  kBool,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
  kIQ4_XS,
  kMXFP4,
  kCount
};

inline constexpr std::size_t kDTypeCount = static_cast<std::size_t>(DType::kCount);

struct DTypeInfo {
  DType dtype;
  std::string_view name;      // "q4_k", as commands and reports print it
  std::uint32_t block_elems;  // elements of one block; 1 for plain types
  std::uint32_t block_bytes;  // bytes of one block
  int ggml_id;                // type id in GGUF files, -1 where GGUF has none
};

const DTypeInfo& info(DType dtype);
std::optional<DType> dtype_from_ggml(std::uint32_t id);
std::optional<DType> dtype_from_name(std::string_view name);

// Bytes of one row of n elements. n must be a multiple of the type's block (checked by whoever read n from a file).
inline std::size_t row_bytes(DType dtype, std::size_t n) {
  return n / info(dtype).block_elems * info(dtype).block_bytes;
}

inline bool is_block_format(DType dtype) {
  return info(dtype).block_elems > 1;
}

}  // namespace fathom::base
