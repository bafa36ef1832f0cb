// The pair of lowest rank is merged first, the leftmost of equals before the others, as the reference does it.
#include "tokens/bpe.h"

#include <algorithm>
#include <bit>
#include <map>

namespace fathom::tokens {
namespace {

constexpr std::uint32_t kNone = ~std::uint32_t{0};
constexpr TokenId kNoToken = -1;
// Up to here looking at every pair for each merge is faster than keeping order (words of ordinary text).
constexpr std::size_t kScanLimit = 24;

std::uint64_t mix(std::uint64_t x) {
  x ^= x >> 32;
  x *= 0x9E3779B97F4A7C15u;
  return x ^ (x >> 29);
}

}  // namespace

// A doubly linked list over the piece. `rank` and `merged` belong to the pair of this symbol and the next.
struct Bpe::Symbol {
  TokenId id = kNoToken;
  std::uint32_t previous = kNone, next = kNone;
  std::uint32_t rank = kNone;
  TokenId merged = kNoToken;
};

void Bpe::add_token(std::string bytes, TokenId id) {
  tokens_.try_emplace(std::move(bytes), id);
}

const TokenId* Bpe::find(std::string_view bytes) const {
  const auto it = tokens_.find(bytes);
  return it == tokens_.end() ? nullptr : &it->second;
}

void Bpe::add_merge(TokenId left, TokenId right, TokenId merged) {
  ordered_.push_back({pair_of(left, right), static_cast<std::uint32_t>(ordered_.size()), merged});
}

void Bpe::finish(bool ignore_merges) {
  ignore_merges_ = ignore_merges;
  table_.assign(std::bit_ceil(ordered_.size() * 2 + 2), {});
  const std::size_t mask = table_.size() - 1;
  for (const Merge& merge : ordered_) {
    std::size_t slot = mix(merge.pair) & mask;
    while (table_[slot].pair != kNoPair && table_[slot].pair != merge.pair) slot = (slot + 1) & mask;
    if (table_[slot].pair == kNoPair) table_[slot] = merge;
  }
  ordered_ = {};
  for (std::size_t b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    const TokenId* id = find({&byte, 1});
    byte_token_[b] = id == nullptr ? kNoToken : *id;
  }
}

const Bpe::Merge* Bpe::find_merge(TokenId left, TokenId right) const {
  const std::uint64_t pair = pair_of(left, right);
  const std::size_t mask = table_.size() - 1;
  for (std::size_t slot = mix(pair) & mask; table_[slot].pair != kNoPair; slot = (slot + 1) & mask) {
    if (table_[slot].pair == pair) return &table_[slot];
  }
  return nullptr;
}

void Bpe::rank_pair(std::vector<Symbol>& symbols, std::size_t at) const {
  Symbol& symbol = symbols[at];
  const Merge* merge = symbol.next == kNone ? nullptr : find_merge(symbol.id, symbols[symbol.next].id);
  symbol.rank = merge == nullptr ? kNone : merge->rank;
  symbol.merged = merge == nullptr ? kNoToken : merge->merged;
}

// Replaces the pair at `at` by its merged token. The second symbol leaves the list; its rank says so.
void Bpe::join(std::vector<Symbol>& symbols, std::size_t at) const {
  Symbol& symbol = symbols[at];
  Symbol& second = symbols[symbol.next];
  symbol.id = symbol.merged;
  symbol.next = second.next;
  second.id = kNoToken;
  second.rank = kNone;
  if (symbol.next != kNone) symbols[symbol.next].previous = static_cast<std::uint32_t>(at);
  rank_pair(symbols, at);
  if (symbol.previous != kNone) rank_pair(symbols, symbol.previous);
}

void Bpe::merge_by_scan(std::vector<Symbol>& symbols) const {
  while (true) {
    std::uint32_t best = kNone, best_rank = kNone;
    for (std::uint32_t at = 0; at != kNone; at = symbols[at].next) {
      if (symbols[at].rank < best_rank) {
        best = at;
        best_rank = symbols[at].rank;
      }
    }
    if (best == kNone) return;
    join(symbols, best);
  }
}

// Positions wait in one list for each rank. A list gets nothing new once its turn has come: every pair that a merge
// makes holds the merged token, which is longer than either side of the pair that made it, and so has another rank.
// Sorting each list once therefore keeps the leftmost first. Pairs that are gone stay in their list and are told by
// their rank.
void Bpe::merge_by_rank(std::vector<Symbol>& symbols) const {
  struct Waiting {
    std::vector<std::uint32_t> positions;
    std::size_t done = 0;
  };
  std::map<std::uint32_t, Waiting> waiting;
  const auto wait = [&](std::uint32_t at) {
    if (at != kNone && symbols[at].rank != kNone) waiting[symbols[at].rank].positions.push_back(at);
  };
  for (std::uint32_t at = 0; at < symbols.size(); ++at) wait(at);
  while (!waiting.empty()) {
    const auto lowest = waiting.begin();
    const auto& [rank, list] = *lowest;
    if (list.done == 0) std::ranges::sort(lowest->second.positions);
    if (list.done == list.positions.size()) {
      waiting.erase(lowest);
      continue;
    }
    const std::uint32_t at = list.positions[lowest->second.done++];
    if (symbols[at].rank != rank) continue;
    join(symbols, at);
    wait(at);
    wait(symbols[at].previous);
  }
}

// One symbol for each byte. A byte that the vocabulary lacks (DeepSeek LLM has none for those that UTF-8 never uses)
// becomes U+FFFD.
void Bpe::append_bytes(std::string_view piece, std::vector<Symbol>& symbols) const {
  for (const char c : piece) {
    const TokenId id = byte_token_[static_cast<std::uint8_t>(c)];
    if (id != kNoToken) {
      symbols.push_back({id});
      continue;
    }
    for (const std::uint8_t b : {0xEF, 0xBF, 0xBD}) {
      if (byte_token_[b] != kNoToken) symbols.push_back({byte_token_[b]});
    }
  }
}

void Bpe::encode(std::string_view piece, std::vector<TokenId>& out) const {
  if (ignore_merges_) {
    if (const TokenId* id = find(piece); id != nullptr) {
      out.push_back(*id);
      return;
    }
  }
  // Positions are 32 bits; longer pieces (4 GiB) are cut.
  constexpr std::size_t kLongest = std::size_t{1} << 30;
  for (; piece.size() > kLongest; piece.remove_prefix(kLongest)) encode(piece.substr(0, kLongest), out);

  std::vector<Symbol> symbols;
  symbols.reserve(piece.size());
  append_bytes(piece, symbols);
  if (symbols.empty()) return;
  for (std::size_t i = 0; i < symbols.size(); ++i) {
    if (i > 0) symbols[i].previous = static_cast<std::uint32_t>(i - 1);
    if (i + 1 < symbols.size()) symbols[i].next = static_cast<std::uint32_t>(i + 1);
  }
  for (std::size_t i = 0; i + 1 < symbols.size(); ++i) rank_pair(symbols, i);
  symbols.size() <= kScanLimit ? merge_by_scan(symbols) : merge_by_rank(symbols);
  for (std::uint32_t at = 0; at != kNone; at = symbols[at].next) out.push_back(symbols[at].id);
}

}  // namespace fathom::tokens
