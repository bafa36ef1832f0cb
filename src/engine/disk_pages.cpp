#include "engine/disk_pages.h"

#include <utility>

namespace fathom::engine {

DiskPages::DiskPages(std::shared_ptr<DiskCache> disk, const PageKey& model, const PrefixCache& cache)
    : disk_(std::move(disk)), model_(model), ring_(disk_ ? static_cast<std::size_t>(cache.all_pages()) : 0) {
  if (disk_) disk_->prepare(cache.page_bytes(), static_cast<std::size_t>(cache.page_tokens()));
}

bool DiskPages::read(const PageKey& key, bool answer, std::span<const tokens::TokenId> tokens,
                     std::span<std::byte> page) {
  return disk_ && disk_->read({.model = model_, .key = key, .answer = answer, .tokens = tokens}, page);
}

void DiskPages::add(std::byte* page, const PageKey& key) {
  if (!disk_) return;
  if (count_ == ring_.size()) {  // the disk is far behind: the oldest is not written
    first_ = (first_ + 1) % ring_.size();
    --count_;
  }
  ring_[(first_ + count_++) % ring_.size()] = {page, key};
}

bool DiskPages::write(const PrefixCache& cache) {
  for (; count_ > 0; first_ = (first_ + 1) % ring_.size(), --count_) {
    const Unwritten& next = ring_[first_];
    const auto full = cache.full(next.page, next.key);
    if (!full || disk_->find(next.key)) continue;
    if (!disk_->offer({.model = model_, .key = next.key, .answer = full->answer, .tokens = full->tokens},
                      cache.bytes(next.page)))
      return true;
  }
  return false;
}

}  // namespace fathom::engine
