#include "engine/pages.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace fathom::engine {

base::Result<PagePool> PagePool::make(std::size_t page_bytes, std::int64_t pages) {
  void* base = mmap(nullptr, page_bytes * static_cast<std::size_t>(pages), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED)
    return base::fail("no address space for a cache of {} pages of {} bytes: {}", pages, page_bytes,
                      std::strerror(errno));
  return PagePool(static_cast<std::byte*>(base), page_bytes, pages);
}

PagePool::PagePool(std::byte* base, std::size_t page_bytes, std::int64_t pages)
    : base_(base), page_bytes_(page_bytes), pages_(pages) {
  free_.reserve(static_cast<std::size_t>(pages));
  for (std::int64_t i = pages - 1; i >= 0; --i) free_.push_back(base + static_cast<std::size_t>(i) * page_bytes);
}

PagePool::PagePool(PagePool&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)),
      page_bytes_(other.page_bytes_),
      pages_(other.pages_),
      free_(std::move(other.free_)) {}

PagePool::~PagePool() {
  if (base_ != nullptr) munmap(base_, page_bytes_ * static_cast<std::size_t>(pages_));
}

std::byte* PagePool::take() {
  FATHOM_CHECK(!free_.empty());
  std::byte* page = free_.back();
  free_.pop_back();
  return page;
}

void PagePool::give_back(std::span<std::byte* const> pages) {
  free_.insert(free_.end(), pages.rbegin(), pages.rend());
}

}  // namespace fathom::engine
