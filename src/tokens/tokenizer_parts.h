// What the readers of tokenizer.json and of GGUF metadata find, in one form, from which a Tokenizer is put together.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokens/added_tokens.h"
#include "tokens/normalizer.h"
#include "tokens/pre_tokenizer.h"
#include "tokens/tokenizer.h"

namespace fathom::tokens {

struct TokenizerParts {
  std::string name;  // of the file, for messages

  // Tokens that merging makes, written in the byte alphabet. Views into the file or into `storage`.
  std::vector<std::pair<std::string_view, TokenId>> vocabulary;
  std::vector<std::pair<std::string_view, std::string_view>> merges;
  std::deque<std::string> storage;
  std::vector<AddedToken> added;
  bool skips_dead_merges = false;  // a merge that makes no token is left out, not refused (GGUF's writers allow it)
  bool ignore_merges = false;

  Normalizer normalizer;
  PreTokenizer pre_tokenizer;

  std::optional<TokenId> bos, eos;
  bool adds_bos = false;
  std::vector<TokenId> further_stops;  // what the file names besides eos
  std::string chat_template;
};

// An added token that a person's text must not yield: every special one, and every one in angle brackets.
bool is_control_text(std::string_view text);

}  // namespace fathom::tokens
