// The parts of a Tokenizer, put together and checked. Only tokenizer*.cpp include this.
#pragma once

#include <string>
#include <vector>

#include "tokens/added_tokens.h"
#include "tokens/bpe.h"
#include "tokens/normalizer.h"
#include "tokens/pre_tokenizer.h"
#include "tokens/tokenizer.h"
#include "tokens/tokenizer_parts.h"

namespace fathom::tokens {

struct Tokenizer::Impl {
  // Errors: ids out of range, merges that name no token, a pre-tokenizer without the bytes it needs.
  static base::Result<std::unique_ptr<Impl>> assemble(TokenizerParts parts);

  struct Text {
    std::string_view text;
    std::vector<Range> trusted;
  };
  void encode_text(const Text& text, std::vector<TokenId>& out) const;
  void encode_segment(const Text& text, std::vector<TokenId>& out) const;
  void encode_pieces(std::string_view text, std::vector<TokenId>& out) const;
  Text normalized(const Text& text, std::string& storage) const;
  std::string_view bytes(TokenId id) const;

  // Bytes of token i: blob[offsets[i], offsets[i + 1]).
  std::string blob;
  std::vector<std::uint32_t> offsets;
  enum class Kind : std::uint8_t { kUndefined, kMerged, kAdded, kControl };
  std::vector<Kind> kinds;
  std::vector<AddedToken> added_by_text;  // sorted

  Bpe bpe;
  AddedTokens added_first;       // looked for in the text as it is
  AddedTokens added_normalized;  // looked for after normalising
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;

  std::optional<TokenId> bos, eos;
  bool adds_bos = false;
  std::vector<TokenId> stops;
  std::string chat_template;

 private:
  base::Result<void> take_tokens(const TokenizerParts& parts);
  base::Result<void> take_merges(const TokenizerParts& parts);
  base::Result<void> take_ends(const TokenizerParts& parts);
  bool is_control_added(std::string_view text) const;
  bool valid(TokenId id) const { return id >= 0 && static_cast<std::size_t>(id) < kinds.size(); }
  friend class Tokenizer;
};

}  // namespace fathom::tokens
