// What an architecture keeps of each token, and how it lies in pages: rows are keys and values, or the latent that both
// come from. A page holds `page_tokens` positions of every layer; the engine owns pages and knows nothing of rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/dtype.h"
#include "kernels/table.h"

namespace fathom::model {

struct CachePlane {
  std::int64_t heads = 1;
  std::int64_t width = 0;  // numbers of one row
};

struct CacheLayout {
  std::int64_t layers = 0;
  std::vector<CachePlane> planes;
  base::DType type = base::DType::kF32;  // kF32, kBF16 or kI8
  std::int64_t page_tokens = 64;

  std::size_t row_bytes(std::size_t plane) const { return kernels::cache_row_bytes(type, planes[plane].width); }
  // A row's first byte within a page: [layer][plane][head][position][width].
  std::size_t offset(std::int64_t layer, std::size_t plane, std::int64_t head) const {
    std::size_t before = 0;
    for (std::size_t p = 0; p < plane; ++p) before += plane_bytes(p);
    return static_cast<std::size_t>(layer) * layer_bytes() + before +
           static_cast<std::size_t>(head * page_tokens) * row_bytes(plane);
  }
  std::size_t page_bytes() const { return static_cast<std::size_t>(layers) * layer_bytes(); }
  std::size_t bytes_per_token() const { return page_bytes() / static_cast<std::size_t>(page_tokens); }

 private:
  std::size_t plane_bytes(std::size_t plane) const {
    return static_cast<std::size_t>(planes[plane].heads * page_tokens) * row_bytes(plane);
  }
  std::size_t layer_bytes() const {
    std::size_t sum = 0;
    for (std::size_t p = 0; p < planes.size(); ++p) sum += plane_bytes(p);
    return sum;
  }
};

}  // namespace fathom::model
