// Pages of cache: one reservation of address space, handed out page by page. Memory is taken from the system when a
// page is first written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/error.h"

namespace fathom::engine {

class PagePool {
 public:
  // Errors: the system refuses the reservation.
  static base::Result<PagePool> make(std::size_t page_bytes, std::int64_t pages);

  PagePool(PagePool&& other) noexcept;
  PagePool& operator=(PagePool&&) = delete;
  ~PagePool();

  std::int64_t free_pages() const { return static_cast<std::int64_t>(free_.size()); }
  std::int64_t all_pages() const { return pages_; }
  // A page's number, 0 .. all_pages() - 1, and back.
  std::int64_t index(const std::byte* page) const { return (page - base_) / static_cast<std::int64_t>(page_bytes_); }
  std::byte* at(std::int64_t index) const { return base_ + static_cast<std::size_t>(index) * page_bytes_; }
  std::size_t page_bytes() const { return page_bytes_; }
  // free_pages() must not be 0.
  std::byte* take();
  void give_back(std::span<std::byte* const> pages);

 private:
  PagePool(std::byte* base, std::size_t page_bytes, std::int64_t pages);

  std::byte* base_ = nullptr;
  std::size_t page_bytes_ = 0;
  std::int64_t pages_ = 0;
  std::vector<std::byte*> free_;
};

}  // namespace fathom::engine
