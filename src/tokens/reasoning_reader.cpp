// Three states: before anything but white space, inside the thought, behind it.
#include "tokens/reasoning_reader.h"

#include <algorithm>

#include "tokens/think_tags.h"

namespace fathom::tokens {
namespace {

// Bytes at the end of the text that may be the start of the tag, and the line ends before them.
std::size_t held_at_end(std::string_view text, std::string_view tag) {
  std::size_t size = std::min(text.size(), tag.empty() ? 0 : tag.size() - 1);
  while (size > 0 && !text.ends_with(tag.substr(0, size))) --size;
  while (size < text.size() && text[text.size() - size - 1] == '\n') ++size;
  return size;
}

}  // namespace

ReasoningReader::ReasoningReader(const Tokenizer& tokenizer, bool opens_thinking, std::vector<TokenId> kept)
    : tokenizer_(&tokenizer),
      detokenizer_(tokenizer),
      kept_(std::move(kept)),
      think_(tokenizer.find(kThink)),
      think_end_(tokenizer.find(kThinkEnd)),
      state_(opens_thinking ? State::kReasoning : State::kStart),
      after_tag_(opens_thinking) {}

ReasoningReader::Text ReasoningReader::push(TokenId id) {
  Text out;
  if (think_ && id == *think_ && state_ == State::kStart) {
    open();
  } else if (think_end_ && id == *think_end_ && state_ == State::kReasoning) {
    pending_ += detokenizer_.flush();
    close(out);
    out.in_reasoning = true;
    return out;
  } else {
    if (state_ != State::kReasoning && std::ranges::find(kept_, id) != kept_.end()) {
      pending_ += detokenizer_.flush();
      pending_ += tokenizer_->bytes(id);
    } else {
      pending_ += detokenizer_.push(id);
    }
    drain(out);
  }
  out.in_reasoning = state_ == State::kReasoning;
  return out;
}

ReasoningReader::Text ReasoningReader::flush() {
  Text out;
  pending_ += detokenizer_.flush();
  drain(out);
  (state_ == State::kReasoning ? out.reasoning : out.content) += pending_;
  pending_.clear();
  out.in_reasoning = state_ == State::kReasoning;
  return out;
}

void ReasoningReader::open() {
  pending_.clear();
  state_ = State::kReasoning;
  after_tag_ = true;
}

// What waits is the end of the thought, less the line ends before the tag.
void ReasoningReader::close(Text& out) {
  while (pending_.ends_with('\n')) pending_.pop_back();
  out.reasoning += pending_;
  pending_.clear();
  state_ = State::kContent;
  after_tag_ = true;
}

void ReasoningReader::drain(Text& out) {
  if (state_ == State::kStart && !drain_start()) return;
  if (state_ == State::kReasoning && !drain_reasoning(out)) return;
  if (after_tag_) pending_.erase(0, std::min(pending_.find_first_not_of('\n'), pending_.size()));
  if (pending_.empty()) return;
  after_tag_ = false;
  out.content += pending_;
  pending_.clear();
}

// False while a thought may still open.
bool ReasoningReader::drain_start() {
  const std::size_t first = pending_.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return false;
  const std::string_view begun = std::string_view(pending_).substr(first);
  if (!think_ && begun.starts_with(kThink)) {
    const std::string rest(begun.substr(kThink.size()));
    open();
    pending_ = rest;
    return true;
  }
  if (!think_ && kThink.starts_with(begun)) return false;
  state_ = State::kContent;
  return true;
}

// True once the thought is over; what is left then belongs to the content.
bool ReasoningReader::drain_reasoning(Text& out) {
  if (after_tag_) pending_.erase(0, std::min(pending_.find_first_not_of('\n'), pending_.size()));
  if (pending_.empty()) return false;
  after_tag_ = false;
  const std::size_t end = think_end_ ? std::string::npos : pending_.find(kThinkEnd);
  if (end != std::string::npos) {
    const std::string rest = pending_.substr(end + kThinkEnd.size());
    pending_.resize(end);
    close(out);
    pending_ = rest;
    return true;
  }
  const std::size_t given = pending_.size() - held_at_end(pending_, think_end_ ? std::string_view() : kThinkEnd);
  out.reasoning.append(pending_, 0, given);
  pending_.erase(0, given);
  return false;
}

}  // namespace fathom::tokens
