#include "engine/reusable_prefix.h"

#include <algorithm>

namespace fathom::engine {

using tokens::TokenId;

std::vector<PrefixPage> reusable_prefix(
    std::span<const TokenId> prompt, const PageKey& first, std::int64_t page_tokens,
    std::span<const std::uint8_t> expanded,
    base::FunctionRef<std::optional<bool>(const PageKey& key, std::span<const TokenId> tokens)> kept) {
  const auto page = static_cast<std::size_t>(page_tokens);
  const std::size_t pages = prompt.empty() ? 0 : (prompt.size() - 1) / page;
  // Each page may be there in both forms, so the chains are a tree: its branches are walked one after the other.
  struct Branch {
    std::size_t depth;
    PrefixPage page;
  };
  std::vector<Branch> open;
  std::vector<PrefixPage> path, best;
  std::size_t end = 0;  // the longest part of the path that may be used
  const auto keep_best = [&] {
    if (end > best.size()) best.assign(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(end));
  };
  const auto look = [&](std::size_t depth, const PageKey& before, bool end_before) {
    if (depth == pages) return;
    const auto tokens = prompt.subspan(depth * page, page);
    const bool own = expanded[depth] != 0;
    for (const bool form : {!own, own}) {  // the last one pushed is walked first
      const PageKey key = next_key(before, tokens, form);
      if (const auto answer = kept(key, tokens))
        open.push_back({depth, {key, form, *answer || (end_before && form == own)}});
    }
  };
  look(0, first, true);
  while (!open.empty()) {
    const Branch at = open.back();
    open.pop_back();
    if (at.depth < path.size()) {
      keep_best();
      if (end > at.depth) end = 0;  // kept in best
      path.resize(at.depth);
    }
    path.push_back(at.page);
    if (at.page.end) end = path.size();
    look(path.size(), at.page.key, at.page.end);
  }
  keep_best();
  return best;
}

}  // namespace fathom::engine
