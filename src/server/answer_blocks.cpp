// Deltas sorted into blocks.
#include "server/answer_blocks.h"

#include <algorithm>

namespace fathom::server {

namespace {

using engine::AnswerDelta;
using engine::FinishReason;
using Kind = AnswerBlock::Kind;

struct Piece {
  Kind kind;
  const std::string* text;
  const std::string* name = nullptr;  // begins a call
};

std::vector<Piece> pieces_of(const AnswerDelta& delta) {
  std::vector<Piece> pieces;
  if (!delta.reasoning.empty()) pieces.push_back({Kind::kReasoning, &delta.reasoning});
  if (!delta.content.empty()) pieces.push_back({Kind::kText, &delta.content});
  for (const engine::ToolCallDelta& call : delta.tool_calls)
    pieces.push_back({Kind::kCall, &call.arguments, call.name.empty() ? nullptr : &call.name});
  return pieces;
}

bool begins_block(const Piece& piece, const std::vector<AnswerBlock>& blocks) {
  return piece.name != nullptr || blocks.empty() || blocks.back().kind != piece.kind;
}

void begin_block(const Piece& piece, std::vector<AnswerBlock>& blocks) {
  blocks.push_back({.kind = piece.kind, .name = piece.name == nullptr ? std::string{} : *piece.name});
}

// A token without text of its own (half a character) goes with the text that comes before it.
void add_tokens(const AnswerDelta& delta, std::vector<AnswerBlock>& blocks) {
  for (const engine::AnswerToken& token : delta.tokens) {
    const Kind kind = token.reasoning ? Kind::kReasoning : Kind::kText;
    const auto block = std::find_if(blocks.rbegin(), blocks.rend(), [&](const auto& b) { return b.kind == kind; });
    if (block != blocks.rend()) block->tokens.push_back(token);
  }
}

}  // namespace

bool BlockAnswer::calls() const {
  return std::ranges::any_of(blocks, [](const AnswerBlock& block) { return block.kind == Kind::kCall; });
}

std::string BlockStream::close_open_block() {
  if (!std::exchange(open_, false)) return {};
  return close_block(answer_.blocks.back());
}

std::string BlockStream::write(int, const AnswerDelta& delta) {
  std::string out;
  if (!std::exchange(begun_, true)) out += begin(delta);
  for (const Piece& each : pieces_of(delta)) {
    if (begins_block(each, answer_.blocks)) {
      out += close_open_block();
      begin_block(each, answer_.blocks);
      open_ = true;
      out += open_block(answer_.blocks.back());
    }
    if (each.text->empty()) continue;
    answer_.blocks.back().text += *each.text;
    out += piece(answer_.blocks.back(), *each.text);
  }
  add_tokens(delta, answer_.blocks);
  if (delta.finish == FinishReason::kNone) return out;
  answer_.last = delta;
  done_ = true;
  if (const auto error = run_error(delta)) return out + fail(*error);
  out += close_open_block();
  return out + end();
}

void BlockResponse::add(int, const AnswerDelta& delta) {
  for (const Piece& each : pieces_of(delta)) {
    if (begins_block(each, answer_.blocks)) begin_block(each, answer_.blocks);
    answer_.blocks.back().text += *each.text;
  }
  add_tokens(delta, answer_.blocks);
  if (delta.finish != FinishReason::kNone) answer_.last = delta;
}

std::optional<ApiError> run_error(const AnswerDelta& last) {
  if (auto failure = failure_of(last)) return failure;
  if (last.finish == FinishReason::kCancelled)
    return ApiError{.status = 503, .message = "the server ended this answer before its end", .code = "cancelled"};
  return std::nullopt;
}

}  // namespace fathom::server
