// One engine's way to the disk cache: which of its pages are still to be written, and pages read back.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "engine/disk_cache.h"
#include "engine/prefix_cache.h"

namespace fathom::engine {

class DiskPages {
 public:
  // `disk` may be null: then nothing is ever there. `model`: whose pages these are (cache_identity.h).
  DiskPages(std::shared_ptr<DiskCache> disk, const PageKey& model, const PrefixCache& cache);

  const PageKey& model() const { return model_; }
  std::optional<bool> find(const PageKey& key) const { return disk_ ? disk_->find(key) : std::nullopt; }
  void touch(const PageKey& key) {
    if (disk_) disk_->touch(key);
  }
  // Reads a page that find() showed into `page`; false where that failed.
  bool read(const PageKey& key, bool answer, std::span<const tokens::TokenId> tokens, std::span<std::byte> page);

  // A page became full: it will be written, unless it has to leave before.
  void add(std::byte* page, const PageKey& key);
  // Hands over as much as the writer takes now. Whether anything is left.
  bool write(const PrefixCache& cache);

 private:
  struct Unwritten {
    std::byte* page = nullptr;
    PageKey key;
  };
  std::shared_ptr<DiskCache> disk_;
  PageKey model_;
  std::vector<Unwritten> ring_;  // as many as there are pages, so that no step allocates
  std::size_t first_ = 0, count_ = 0;
};

}  // namespace fathom::engine
