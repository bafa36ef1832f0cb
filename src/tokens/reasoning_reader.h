// Splits a model's answer, token by token, into its thought and what it says. The thought ends at the token </think>;
// where a tokenizer has no such token, at that text. The line ends around the tags are the tags', not the answer's:
// DeepSeek's own service gives neither back.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tokens/tokenizer.h"

namespace fathom::tokens {

class ReasoningReader {
 public:
  // opens_thinking: the prompt ended inside a thought (Rendered::opens_thinking). Otherwise a <think> that comes first
  // in the answer opens one. `kept`: control tokens that are text in the content, by their names. The tokenizer must
  // outlive the reader.
  ReasoningReader(const Tokenizer& tokenizer, bool opens_thinking, std::vector<TokenId> kept = {});

  struct Text {
    std::string reasoning, content;
    bool in_reasoning = false;  // the token belongs to the thought; its tags do
  };
  // What became certain by this token; half characters, and line ends that a tag may claim, wait. Control tokens
  // that are not kept give no text.
  Text push(TokenId id);
  Text flush();  // what was held back, at the end of the answer

 private:
  enum class State { kStart, kReasoning, kContent };

  void drain(Text& out);
  bool drain_start();
  bool drain_reasoning(Text& out);
  void open();
  void close(Text& out);

  const Tokenizer* tokenizer_;
  Detokenizer detokenizer_;
  std::vector<TokenId> kept_;
  std::optional<TokenId> think_, think_end_;
  State state_;
  bool after_tag_;       // line ends that come now belong to the tag
  std::string pending_;  // decoded, not given out yet
};

}  // namespace fathom::tokens
