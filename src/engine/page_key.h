// The name of a full page of cache: a hash over everything that its bytes follow from. Pages of equal keys are equal
// bit for bit, whichever run computed them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "tokens/tokenizer.h"

namespace fathom::engine {

struct PageKey {
  std::uint64_t low = 0, high = 0;
  bool operator==(const PageKey&) const = default;
};

struct PageKeyHash {
  std::size_t operator()(const PageKey& key) const { return key.low; }
};

// Where an owner's pages begin: no page of another owner has a key that follows from it. `model`: what the bytes depend
// on beside tokens (cache_identity.h).
PageKey first_key(const PageKey& model, std::string_view owner);

// The key of the page that holds `tokens` behind the page of `before`. `expanded`: the form its rows were computed in.
PageKey next_key(const PageKey& before, std::span<const tokens::TokenId> tokens, bool expanded);

}  // namespace fathom::engine
