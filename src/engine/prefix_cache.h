// The cache's pages and what is worth keeping of them: pages that nobody writes to any more, by their keys, in memory.
// A page is in use by runs, or kept for a later run that begins with the same tokens, or free; kept pages leave, least
// recently used first, when pages are needed. Which pages a prompt may begin with is decided elsewhere
// (reusable_prefix.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "engine/page_key.h"
#include "engine/pages.h"

namespace fathom::engine {

class PrefixCache {
 public:
  // Everything it will ever need is allocated here. Of the pages, about `most_kept` are kept while no run uses them.
  // Errors as PagePool::make.
  static base::Result<PrefixCache> make(std::size_t page_bytes, std::int64_t pages, std::int64_t page_tokens,
                                        std::int64_t most_kept);

  std::int64_t page_tokens() const { return page_tokens_; }
  std::size_t page_bytes() const { return pool_.page_bytes(); }
  std::int64_t all_pages() const { return pool_.all_pages(); }
  std::int64_t kept_pages() const { return kept_; }  // that no run uses
  // Pages that take() can still hand out.
  std::int64_t available() const { return pool_.free_pages() + kept_; }

  // A page to write, for one run. nullptr: runs use all of them.
  std::byte* take();

  struct Found {
    std::byte* page = nullptr;
    bool answer = false;  // holds tokens of an answer
  };
  std::optional<Found> find(const PageKey& key, std::span<const tokens::TokenId> tokens) const;
  // One more run uses a page that find() showed.
  void hold(std::byte* page);
  // Nobody writes to the page any more: it is full, or holds the last `tokens` of a run. Returns the page that the run
  // is to use from now on: it, or another of the same key (then this one is free).
  std::byte* keep(std::byte* page, const PageKey& key, std::span<const tokens::TokenId> tokens, bool answer);
  // What a kept page of that key holds; nothing where the page is another's by now.
  struct Full {
    std::span<const tokens::TokenId> tokens;
    bool answer = false;
  };
  std::optional<Full> full(const std::byte* page, const PageKey& key) const;
  std::span<std::byte> bytes(std::byte* page) const { return {page, page_bytes()}; }
  // A run uses these no longer; they are in the order of its positions.
  void release(std::span<std::byte* const> pages);

 private:
  using Index = std::int32_t;
  static constexpr Index kNone = -1;

  struct Node {
    PageKey key;
    std::int32_t users = 0;
    std::int32_t count = 0;              // tokens that it is kept for; 0: it has no key
    Index next = kNone;                  // of its bucket
    Index older = kNone, newer = kNone;  // among kept pages without users
    bool answer = false;
  };

  PrefixCache(PagePool pool, std::int64_t page_tokens, std::int64_t most_kept);
  Node& node(Index i) { return nodes_[static_cast<std::size_t>(i)]; }
  const Node& node(Index i) const { return nodes_[static_cast<std::size_t>(i)]; }
  Index index(const std::byte* page) const { return static_cast<Index>(pool_.index(page)); }
  std::span<const tokens::TokenId> tokens_of(Index i) const;
  Index& bucket(const PageKey& key) { return buckets_[key.low & (buckets_.size() - 1)]; }
  Index look_up(const PageKey& key, std::span<const tokens::TokenId> tokens) const;
  void forget(Index i);
  void unlink(Index i);
  void append(Index i);

  PagePool pool_;
  std::int64_t page_tokens_, most_kept_;
  std::vector<Node> nodes_;                // by page
  std::vector<tokens::TokenId> tokens_;    // of every page
  std::vector<Index> buckets_;             // a power of two
  Index oldest_ = kNone, newest_ = kNone;  // kept pages without users; a page stands before the one it follows from
  std::int64_t kept_ = 0;
};

}  // namespace fathom::engine
