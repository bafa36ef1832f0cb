// One state a part of the markup; the arguments end where their JSON does, so that markup inside a string is text.
#include "tokens/tool_call_reader.h"

#include <algorithm>
#include <utility>

namespace fathom::tokens {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
constexpr std::size_t kLongestName = 64;

// Bytes at the end of the text that may be the start of what is looked for.
std::size_t begun_at_end(std::string_view text, std::string_view wanted) {
  std::size_t size = std::min(text.size(), wanted.size() - 1);
  while (size > 0 && !text.ends_with(wanted.substr(0, size))) --size;
  return size;
}

}  // namespace

ToolCallReader::Text ToolCallReader::push(std::string_view text) {
  Text out;
  pending_ += text;
  while (step(out, false)) {
  }
  return out;
}

ToolCallReader::Text ToolCallReader::flush() {
  Text out;
  while (step(out, true)) {
  }
  return out;
}

// One step of the reading; false when it needs more text. `last`: none will come.
bool ToolCallReader::step(Text& out, bool last) {
  if (pending_.empty()) return false;
  switch (state_) {
    case State::kContent:
    case State::kAfter:
      return read_content(out, last);
    case State::kCallBegin:
      return expect(markup_->call_begin, State::kName, out);
    case State::kName:
      return read_name(out);
    case State::kArguments:
      return read_arguments(out);
    case State::kCallEnd:
      return expect(markup_->call_end, markup_->calls_end.empty() ? State::kAfter : State::kBetween, out);
    case State::kBetween:
      return read_between(last);
  }
  return false;
}

// White space before the first word waits: before a call it is nobody's.
bool ToolCallReader::read_content(Text& out, bool last) {
  const std::size_t at = pending_.find(markup_->trigger());
  std::string_view text = std::string_view(pending_).substr(0, at);
  // What the answer's end cuts off inside the markup is dropped, once it is certain to be markup.
  if (at == pending_.npos) {
    const std::size_t begun = begun_at_end(pending_, markup_->trigger());
    if (!last || text.substr(text.size() - begun).find('>') != text.npos) text.remove_suffix(begun);
  }
  const bool blank = text.find_first_not_of(kSpace) == text.npos;
  if (blank && (state_ == State::kAfter || !any_text_)) {
    if (at == pending_.npos && !last) return false;
    if (at == pending_.npos && state_ == State::kContent) out.content += text;
  } else {
    out.content += text;
    any_text_ = any_text_ || !blank;
    if (state_ == State::kAfter) state_ = State::kContent;
  }
  pending_.erase(0, text.size());
  if (at == pending_.npos) return false;
  taken_.clear();
  if (!markup_->calls_begin.empty()) {
    taken_ = markup_->calls_begin;
    pending_.erase(0, markup_->calls_begin.size());
  }
  state_ = State::kCallBegin;
  return true;
}

bool ToolCallReader::expect(std::string_view wanted, State next, Text& out) {
  if (pending_.starts_with(wanted)) {
    taken_ += wanted;
    pending_.erase(0, wanted.size());
    state_ = next;
    return true;
  }
  if (wanted.starts_with(pending_)) return false;  // more may come; if not, the answer was cut off here
  give_back(out);
  return true;
}

// What looked like the beginning of a call was none.
void ToolCallReader::give_back(Text& out) {
  if (state_ != State::kCallEnd) out.content += std::exchange(taken_, {});
  any_text_ = true;
  state_ = State::kContent;
}

bool ToolCallReader::read_name(Text& out) {
  const std::size_t end = pending_.find(markup_->before_arguments);
  if (end != pending_.npos && end > 0 && end <= kLongestName) {
    out.calls.push_back({.index = calls_++, .name = pending_.substr(0, end), .arguments = {}});
    pending_.erase(0, end + markup_->before_arguments.size());
    depth_ = 0;
    in_string_ = escaped_ = false;
    state_ = State::kArguments;
    return true;
  }
  if (end == pending_.npos && pending_.size() <= kLongestName + markup_->before_arguments.size()) return false;
  give_back(out);
  return true;
}

bool ToolCallReader::read_arguments(Text& out) {
  std::size_t size = 0;
  bool complete = false;
  while (size < pending_.size() && !complete) {
    const char c = pending_[size++];
    if (in_string_) {
      in_string_ = escaped_ || c != '"';
      escaped_ = !escaped_ && c == '\\';
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if (c == '}' || c == ']') {
      complete = --depth_ <= 0;
    }
  }
  out.calls.push_back({.index = calls_ - 1, .name = {}, .arguments = pending_.substr(0, size)});
  pending_.erase(0, size);
  if (complete) state_ = State::kCallEnd;
  return complete;
}

// Another call, or the end of them all.
bool ToolCallReader::read_between(bool last) {
  const std::string next = std::string(markup_->separator).append(markup_->call_begin);
  if (pending_.starts_with(markup_->calls_end)) {
    pending_.erase(0, markup_->calls_end.size());
    state_ = State::kAfter;
    return true;
  }
  if (pending_.starts_with(next)) {
    pending_.erase(0, next.size());
    taken_ = markup_->call_begin;
    state_ = State::kName;
    return true;
  }
  if (!last && (markup_->calls_end.starts_with(pending_) || next.starts_with(pending_))) return false;
  pending_.clear();
  return false;
}

}  // namespace fathom::tokens
