// Byte-pair merging of one piece of text by rank, in O(n log n) whatever the piece. How text is cut into pieces, and
// added tokens, are not known here.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokens/tokenizer.h"

namespace fathom::tokens {

class Bpe {
 public:
  // Tokens that merging may produce, by their bytes. The first of two with the same bytes stays.
  void add_token(std::string bytes, TokenId id);
  const TokenId* find(std::string_view bytes) const;
  // The next rank: left and right become merged. A pair that already has a rank keeps it.
  void add_merge(TokenId left, TokenId right, TokenId merged);
  // Call once, after the last token and merge. A piece that is itself a token is not merged when ignore_merges is set.
  void finish(bool ignore_merges);

  void encode(std::string_view piece, std::vector<TokenId>& out) const;

 private:
  struct Merge {
    std::uint64_t pair = kNoPair;
    std::uint32_t rank = 0;
    TokenId merged = 0;
  };
  static constexpr std::uint64_t kNoPair = ~std::uint64_t{0};
  static std::uint64_t pair_of(TokenId left, TokenId right) {
    return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32) | static_cast<std::uint32_t>(right);
  }
  const Merge* find_merge(TokenId left, TokenId right) const;

  struct Symbol;
  void rank_pair(std::vector<Symbol>& symbols, std::size_t at) const;
  void join(std::vector<Symbol>& symbols, std::size_t at) const;
  void merge_by_scan(std::vector<Symbol>& symbols) const;
  void merge_by_rank(std::vector<Symbol>& symbols) const;
  void append_bytes(std::string_view piece, std::vector<Symbol>& symbols) const;

  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
  };
  std::unordered_map<std::string, TokenId, Hash, std::equal_to<>> tokens_;
  std::vector<Merge> ordered_;  // as added; emptied by finish
  std::vector<Merge> table_;    // open addressing, a power of two
  std::array<TokenId, 256> byte_token_{};
  bool ignore_merges_ = false;
};

}  // namespace fathom::tokens
