// A tensor is a typed view of bytes that somebody else owns (a mapped file, an arena). It never frees anything.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

namespace fathom::base {

// Shape in PyTorch's order: the last dimension is contiguous, a weight is [out, in]. (GGUF lists them fastest first;
// its reader turns them round.) A stack of expert matrices is [experts, out, in].
struct Tensor {
  DType dtype = DType::kF32;
  int rank = 0;
  std::array<std::int64_t, 4> shape{};
  const std::byte* data = nullptr;

  // Scales of an FP8 tensor stored as blocks (DeepSeek's `weight_scale_inv`): fp32 [ceil(out/block), ceil(in/block)],
  // w = code * scale. nullptr for every other type.
  const float* scale = nullptr;
  std::int32_t scale_block = 128;
  std::int32_t scale_row = 0;  // rows of the first scale block that lie before row 0 (a slice may begin inside a block)

  explicit operator bool() const { return data != nullptr; }
  std::int64_t dim(int i) const { return shape[static_cast<std::size_t>(i)]; }
  // Length of a row (the contiguous dimension) and number of rows (all others multiplied).
  std::int64_t cols() const { return rank == 0 ? 1 : shape[static_cast<std::size_t>(rank - 1)]; }
  std::int64_t rows() const {
    std::int64_t n = 1;
    for (int i = 0; i + 1 < rank; ++i) n *= shape[static_cast<std::size_t>(i)];
    return n;
  }
  std::int64_t elements() const { return rows() * cols(); }
  std::size_t row_stride() const { return row_bytes(dtype, static_cast<std::size_t>(cols())); }
  std::size_t bytes() const { return row_stride() * static_cast<std::size_t>(rows()); }
  const std::byte* row(std::int64_t r) const { return data + static_cast<std::size_t>(r) * row_stride(); }

  // Scale of element (r, c) of an FP8 tensor.
  float scale_at(std::int64_t r, std::int64_t c) const {
    const std::int64_t per_row = (cols() + scale_block - 1) / scale_block;
    return scale[(r + scale_row) / scale_block * per_row + c / scale_block];
  }

  // Rows [begin, begin + count) of a matrix, as a matrix.
  Tensor row_slice(std::int64_t begin, std::int64_t count) const {
    Tensor t = *this;
    t.rank = 2;
    t.shape = {count, cols()};
    t.data = row(begin);
    if (scale != nullptr) {
      const std::int64_t first = begin + scale_row;
      t.scale = scale + first / scale_block * ((cols() + scale_block - 1) / scale_block);
      t.scale_row = static_cast<std::int32_t>(first % scale_block);
    }
    return t;
  }

  // Matrix i of a stack [n, out, in] as a tensor of its own.
  Tensor slice(std::int64_t i) const {
    Tensor t = *this;
    t.rank = rank - 1;
    for (int k = 0; k < t.rank; ++k) t.shape[static_cast<std::size_t>(k)] = shape[static_cast<std::size_t>(k + 1)];
    t.shape[static_cast<std::size_t>(rank - 1)] = 0;
    t.data = data + static_cast<std::size_t>(i) * t.bytes();
    return t;
  }
};

}  // namespace fathom::base
