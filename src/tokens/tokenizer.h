// Byte-level BPE, exact to the tokenizers that the supported models ship, from tokenizer.json or from GGUF metadata.
// Control tokens (added tokens in angle brackets) are recognised only where the caller allows it: text that a person
// typed never yields one. Logits and HTTP are not known here.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "files/gguf.h"

namespace fathom::tokens {

using TokenId = std::int32_t;

// Text that is in part trusted: pieces written by a template may hold control tokens, pieces typed by a person may not.
// Pieces are joined before splitting and merging, so that a border between them never changes the other tokens.
struct PromptPiece {
  std::string text;
  bool trusted = false;
};
using Prompt = std::vector<PromptPiece>;
std::string prompt_text(const Prompt& prompt);

class Tokenizer {
 public:
  // From `tokenizer.ggml.*`. Errors: another model than byte-level BPE, an unknown pre-tokenizer (named), merges that
  // name no token, ids out of range.
  static base::Result<Tokenizer> from_gguf(const files::Gguf& file);
  // From a directory in Hugging Face's layout: tokenizer.json, and tokenizer_config.json where it is there.
  static base::Result<Tokenizer> from_directory(const std::string& directory);
  // From the text of a tokenizer.json (and of a tokenizer_config.json, or ""); the fuzzer's way in.
  static base::Result<Tokenizer> from_json(std::string_view tokenizer_json, std::string_view config_json);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // No BOS is added. Linear in the length of the text. Bytes that are not UTF-8 are encoded as bytes.
  std::vector<TokenId> encode(const Prompt& prompt) const;
  std::vector<TokenId> encode(std::string_view text, bool control_tokens) const;

  // The text of ids; control tokens are written as their names, or left out.
  std::string decode(std::span<const TokenId> ids, bool control_tokens) const;
  // The bytes one token stands for (a control token: its name); "" for an id that has none.
  std::string_view bytes(TokenId id) const;
  bool is_control(TokenId id) const;

  std::optional<TokenId> find(std::string_view added_token) const;  // by its text, for instance "<think>"
  TokenId vocabulary_size() const;                                  // highest id + 1
  bool defined(TokenId id) const;  // ids below vocabulary_size() that name no token are padding
  std::optional<TokenId> bos() const;
  std::optional<TokenId> eos() const;
  bool adds_bos() const;  // what the file says a plain text starts with
  // Every token that ends an answer: eos, and the family's end-of-turn tokens.
  std::span<const TokenId> stop_tokens() const;
  // The chat template's text as the file carries it; "" where it has none.
  std::string_view chat_template() const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Turns a stream of ids into text, holding back bytes until a character is whole. What never becomes UTF-8 comes out as
// U+FFFD, as the reference decoder gives it.
class Detokenizer {
 public:
  explicit Detokenizer(const Tokenizer& tokenizer, bool control_tokens = false)
      : tokenizer_(&tokenizer), control_tokens_(control_tokens) {}
  std::string push(TokenId id);
  std::string flush();  // what was held back, at the end of the stream

 private:
  const Tokenizer* tokenizer_;
  bool control_tokens_;
  std::string pending_;
};

}  // namespace fathom::tokens
