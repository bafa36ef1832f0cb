// Splits a stream of generated tokens into thoughts and answer. Control tokens decide, never text that looks like them.
#pragma once

#include <optional>
#include <string>

#include "tokens/tokenizer.h"

namespace fathom::tokens {

class ReasoningReader {
 public:
  // opens_thinking: the prompt ended inside a thought. Else a <think> token opens one, if it is the first thing that is
  // not white space. Without the two control tokens everything is content.
  ReasoningReader(const Tokenizer& tokenizer, bool opens_thinking);

  struct Text {
    std::string reasoning, content;
    bool in_reasoning = false;  // the token pushed belongs to the thought, its tags included
  };
  // Never holds half a character; line breaks after either tag are left out, as DeepSeek's own API does.
  Text push(TokenId id);
  Text flush();  // what was held back, at the end of the stream

 private:
  enum class Place : std::uint8_t { kStart, kThought, kAnswer };
  void route(std::string text, Text& out);

  Detokenizer detokenizer_;
  std::optional<TokenId> open_, close_;
  Place place_;
  bool skip_breaks_;  // at the start of a thought, and of the answer after one
};

}  // namespace fathom::tokens
