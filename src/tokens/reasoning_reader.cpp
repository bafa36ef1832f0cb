#include "tokens/reasoning_reader.h"

namespace fathom::tokens {

ReasoningReader::ReasoningReader(const Tokenizer& tokenizer, bool opens_thinking)
    : detokenizer_(tokenizer), open_(tokenizer.find("<think>")), close_(tokenizer.find("</think>")),
      place_(opens_thinking && close_ ? Place::kThought : Place::kStart), skip_breaks_(place_ == Place::kThought) {}

void ReasoningReader::route(std::string text, Text& out) {
  if (skip_breaks_) {
    const std::size_t first = text.find_first_not_of('\n');
    if (first == std::string::npos) return;
    text.erase(0, first);
    skip_breaks_ = false;
  }
  if (place_ == Place::kThought) {
    out.reasoning += text;
    return;
  }
  out.content += text;
  if (place_ == Place::kStart && text.find_first_not_of(" \t\r\n") != std::string::npos) place_ = Place::kAnswer;
}

ReasoningReader::Text ReasoningReader::push(TokenId id) {
  Text out;
  const bool opens = place_ == Place::kStart && open_ == id;
  const bool closes = place_ == Place::kThought && close_ == id;
  if (opens || closes) {
    out.in_reasoning = true;
    route(detokenizer_.flush(), out);
    place_ = opens ? Place::kThought : Place::kAnswer;
    skip_breaks_ = true;
    return out;
  }
  out.in_reasoning = place_ == Place::kThought;
  route(detokenizer_.push(id), out);
  return out;
}

ReasoningReader::Text ReasoningReader::flush() {
  Text out{.in_reasoning = place_ == Place::kThought};
  route(detokenizer_.flush(), out);
  return out;
}

}  // namespace fathom::tokens
