#include "engine/prefix_cache.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

namespace fathom::engine {

using base::Result;
using tokens::TokenId;

Result<PrefixCache> PrefixCache::make(std::size_t page_bytes, std::int64_t pages, std::int64_t page_tokens,
                                      std::int64_t most_kept) {
  auto pool = PagePool::make(page_bytes, std::min<std::int64_t>(pages, std::numeric_limits<Index>::max()));
  if (!pool) return std::unexpected(pool.error());
  return PrefixCache(std::move(*pool), page_tokens, most_kept);
}

PrefixCache::PrefixCache(PagePool pool, std::int64_t page_tokens, std::int64_t most_kept)
    : pool_(std::move(pool)),
      page_tokens_(page_tokens),
      most_kept_(most_kept),
      nodes_(static_cast<std::size_t>(pool_.all_pages())),
      tokens_(nodes_.size() * static_cast<std::size_t>(page_tokens)),
      buckets_(std::bit_ceil(nodes_.size()), kNone) {}

std::span<const TokenId> PrefixCache::tokens_of(Index i) const {
  return std::span(tokens_).subspan(static_cast<std::size_t>(i) * static_cast<std::size_t>(page_tokens_),
                                    static_cast<std::size_t>(node(i).count));
}

PrefixCache::Index PrefixCache::look_up(const PageKey& key, std::span<const TokenId> tokens) const {
  Index i = buckets_[key.low & (buckets_.size() - 1)];
  // The tokens themselves are compared too: a hash alone would trust whoever can choose them.
  while (i != kNone && !(node(i).key == key && std::ranges::equal(tokens_of(i), tokens))) i = node(i).next;
  return i;
}

std::byte* PrefixCache::take() {
  // A page that was never written to costs memory that one kept for too long does not.
  if (pool_.free_pages() == 0 || kept_ > most_kept_) {
    if (oldest_ == kNone) return nullptr;
    forget(oldest_);
  }
  std::byte* page = pool_.take();
  node(index(page)).users = 1;
  return page;
}

std::optional<PrefixCache::Found> PrefixCache::find(const PageKey& key, std::span<const TokenId> tokens) const {
  const Index i = look_up(key, tokens);
  if (i == kNone) return std::nullopt;
  return Found{.page = pool_.at(i), .answer = node(i).answer};
}

void PrefixCache::hold(std::byte* page) {
  const Index i = index(page);
  if (node(i).users++ == 0) unlink(i);
}

std::byte* PrefixCache::keep(std::byte* page, const PageKey& key, std::span<const TokenId> tokens, bool answer) {
  const Index i = index(page);
  FATHOM_CHECK(node(i).users == 1 && node(i).count == 0 && !tokens.empty() &&
               static_cast<std::int64_t>(tokens.size()) <= page_tokens_);
  if (const Index other = look_up(key, tokens); other != kNone) {
    node(other).answer |= answer;
    std::byte* same = pool_.at(other);
    hold(same);
    release({&page, 1});
    return same;
  }
  std::ranges::copy(tokens, tokens_.begin() + static_cast<std::ptrdiff_t>(i) * page_tokens_);
  node(i).key = key;
  node(i).count = static_cast<std::int32_t>(tokens.size());
  node(i).answer = answer;
  node(i).next = std::exchange(bucket(key), i);
  return page;
}

std::optional<PrefixCache::Full> PrefixCache::full(const std::byte* page, const PageKey& key) const {
  const Index i = index(page);
  if (node(i).count == 0 || node(i).key != key) return std::nullopt;
  return Full{tokens_of(i), node(i).answer};
}

void PrefixCache::release(std::span<std::byte* const> pages) {
  // The last first: of a chain its end is forgotten before its beginning.
  for (std::size_t k = pages.size(); k-- > 0;) {
    const Index i = index(pages[k]);
    FATHOM_CHECK(node(i).users > 0);
    if (--node(i).users > 0) continue;
    if (node(i).count > 0) {
      append(i);
    } else {
      pool_.give_back({&pages[k], 1});
    }
  }
}

// Takes a kept page without users out of the table and frees it.
void PrefixCache::forget(Index i) {
  Index* at = &bucket(node(i).key);
  while (*at != i) at = &node(*at).next;
  *at = node(i).next;
  unlink(i);
  node(i) = {};
  std::byte* page = pool_.at(i);
  pool_.give_back({&page, 1});
}

void PrefixCache::unlink(Index i) {
  Node& n = node(i);
  (n.older == kNone ? oldest_ : node(n.older).newer) = n.newer;
  (n.newer == kNone ? newest_ : node(n.newer).older) = n.older;
  n.older = n.newer = kNone;
  --kept_;
}

void PrefixCache::append(Index i) {
  Node& n = node(i);
  n.older = newest_;
  (newest_ == kNone ? oldest_ : node(newest_).newer) = i;
  newest_ = i;
  ++kept_;
}

}  // namespace fathom::engine
