#include "engine/prefix_cache.h"

#include <gtest/gtest.h>

namespace fathom::engine {
namespace {

using Ids = std::vector<tokens::TokenId>;

PrefixCache small(std::int64_t pages, std::int64_t most_kept = 100) {
  return std::move(*PrefixCache::make(64, pages, 4, most_kept));
}

TEST(PageKey, FollowsFromModelOwnerTokensFormAndAllBefore) {
  const Ids a{1, 2, 3, 4}, b{1, 2, 3, 5};
  const PageKey first = first_key({1, 2}, "ann");
  EXPECT_EQ(next_key(first, a, false), next_key(first, a, false));
  EXPECT_NE(next_key(first, a, false), next_key(first_key({1, 3}, "ann"), a, false));
  EXPECT_NE(next_key(first, a, false), next_key(first, a, true));
  EXPECT_NE(next_key(first, a, false), next_key(first, b, false));
  EXPECT_NE(next_key(first, a, false), next_key(first_key({1, 2}, "bob"), a, false));
  EXPECT_NE(next_key(next_key(first, a, false), b, false), next_key(next_key(first, b, false), b, false));
  EXPECT_NE(next_key(next_key(first, a, false), b, false), next_key(next_key(first, a, true), b, false));
}

TEST(PrefixCache, KeepsAFullPageAfterItsRunUntilItIsNeeded) {
  PrefixCache cache = small(2);
  const Ids ids{1, 2, 3, 4};
  const PageKey key = next_key(first_key({}, ""), ids, false);
  std::byte* page = cache.take();
  EXPECT_EQ(cache.keep(page, key, ids, true), page);
  EXPECT_EQ(cache.available(), 1);
  cache.release({&page, 1});
  EXPECT_EQ(cache.available(), 2);
  ASSERT_TRUE(cache.find(key, ids));
  EXPECT_EQ(cache.find(key, ids)->page, page);
  EXPECT_TRUE(cache.find(key, ids)->answer);
  EXPECT_NE(cache.take(), page);  // the free one first
  EXPECT_TRUE(cache.find(key, ids));
  EXPECT_EQ(cache.take(), page);
  EXPECT_FALSE(cache.find(key, ids));
  EXPECT_EQ(cache.take(), nullptr);
}

TEST(PrefixCache, ComparesTokensAndNotTheirHashAlone) {
  PrefixCache cache = small(2);
  const Ids ids{1, 2, 3, 4}, others{4, 3, 2, 1};
  const PageKey key = next_key(first_key({}, ""), ids, false);
  cache.keep(cache.take(), key, ids, false);
  EXPECT_FALSE(cache.find(key, others));
}

TEST(PrefixCache, GivesTheSamePageToWhoeverFillsItAgain) {
  PrefixCache cache = small(3);
  const Ids ids{1, 2, 3, 4};
  const PageKey key = next_key(first_key({}, ""), ids, false);
  std::byte* first = cache.keep(cache.take(), key, ids, false);
  std::byte* second = cache.take();
  EXPECT_EQ(cache.keep(second, key, ids, true), first);
  EXPECT_EQ(cache.available(), 2);
  cache.release({&first, 1});
  EXPECT_EQ(cache.kept_pages(), 0);  // the other still uses it
  cache.release({&first, 1});
  EXPECT_EQ(cache.kept_pages(), 1);
  EXPECT_TRUE(cache.find(key, ids)->answer);
}

TEST(PrefixCache, KeepsNoMoreThanItMayWhereMorePagesWereNeverUsed) {
  PrefixCache cache = small(50, 3);
  for (int i = 0; i < 20; ++i) {
    const Ids ids{i, i, i, i};
    std::byte* page = cache.take();
    cache.keep(page, next_key(first_key({}, ""), ids, false), ids, false);
    cache.release({&page, 1});
  }
  EXPECT_EQ(cache.kept_pages(), 4);  // one more than it may, until the next page is taken
  EXPECT_EQ(cache.available(), 50);
}

TEST(PrefixCache, LeastRecentlyUsedLeaveFirstAndOfAChainItsEnd) {
  PrefixCache cache = small(4);
  const Ids ids{1, 2, 3, 4}, others{9, 9, 9, 9};
  const PageKey one = next_key(first_key({}, ""), ids, false), two = next_key(one, ids, false),
                other = next_key(first_key({}, "x"), others, false);
  std::byte* chain[2] = {cache.keep(cache.take(), one, ids, false), nullptr};
  chain[1] = cache.keep(cache.take(), two, ids, false);
  std::byte* apart = cache.keep(cache.take(), other, others, false);
  cache.release(chain);
  cache.release({&apart, 1});
  cache.take();  // the free one
  cache.take();
  EXPECT_FALSE(cache.find(two, ids));
  EXPECT_TRUE(cache.find(one, ids));
  cache.hold(cache.find(one, ids)->page);  // used again: the other is now the oldest
  cache.release({chain, 1});
  cache.take();
  EXPECT_FALSE(cache.find(other, others));
  EXPECT_TRUE(cache.find(one, ids));
}

}  // namespace
}  // namespace fathom::engine
