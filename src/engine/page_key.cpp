#include "engine/page_key.h"

#include <xxhash.h>

namespace fathom::engine {

namespace {

PageKey key_of(XXH128_hash_t hash) {
  return {hash.low64, hash.high64};
}

}  // namespace

PageKey first_key(const PageKey& model, std::string_view owner) {
  const XXH128_hash_t h = XXH3_128bits(owner.data(), owner.size());
  const std::uint64_t both[4] = {h.low64, h.high64, model.low, model.high};
  return key_of(XXH3_128bits(both, sizeof both));
}

PageKey next_key(const PageKey& before, std::span<const tokens::TokenId> tokens, bool expanded) {
  // The key before it and the form go into the seed of one hash and the text of the other half: both halves of the
  // result depend on all of it.
  const XXH64_hash_t seed = before.high ^ (expanded ? 0x9e3779b97f4a7c15u : 0);
  const XXH128_hash_t h = XXH3_128bits_withSeed(tokens.data(), tokens.size_bytes(), seed);
  const std::uint64_t chained[4] = {h.low64, h.high64, before.low, before.high};
  return key_of(XXH3_128bits(chained, sizeof chained));
}

}  // namespace fathom::engine
