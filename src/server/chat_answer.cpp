// The exact shapes that clients of both APIs read. What differs between DeepSeek's and OpenAI's is where the usage
// stands in a stream; everything else is a union that both kinds of client accept.
#include "server/chat_answer.h"

namespace fathom::server {

namespace {

using engine::FinishReason;
using files::Json;

Json token_json(tokens::TokenId id, float logprob, const tokens::Tokenizer& tokenizer) {
  const std::string_view bytes = tokenizer.bytes(id);
  Json numbers = Json::array();
  for (const char byte : bytes) numbers.push_back(static_cast<unsigned char>(byte));
  return {{"token", std::string(bytes)}, {"logprob", logprob}, {"bytes", std::move(numbers)}};
}

// Whether the turn ends so that the caller may answer its calls. Calls that a limit cut off are no such end.
const char* end_name(FinishReason reason, bool has_calls) {
  return has_calls && reason == FinishReason::kStop ? "tool_calls" : finish_name(reason);
}

// Unguessable and the same in every chunk: the answer's own random id with the call's place.
std::string call_id(const AnswerHead& head, int choice, int index) {
  return fmt::format("call_{}_{}_{}", std::string_view(head.id).substr(head.id.rfind('-') + 1), choice, index);
}

Json list_or_null(Json& list) {
  if (list.empty()) return nullptr;
  return std::exchange(list, Json::array());
}

}  // namespace

// A run that was cancelled or failed has no finish of its own in OpenAI's list; DeepSeek's word for both says "not the
// model's doing".
const char* finish_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    default:
      return "insufficient_system_resource";
  }
}

void Usage::add(const engine::AnswerDelta& last) {
  prompt_ = last.statistics.prompt_tokens;
  cached_ = std::max(cached_, last.statistics.cached_tokens);
  completion_ += last.statistics.generated_tokens;
  reasoning_ += last.reasoning_tokens;
}

Usage& Usage::operator+=(const Usage& other) {
  prompt_ += other.prompt_;
  cached_ += other.cached_;
  completion_ += other.completion_;
  reasoning_ += other.reasoning_;
  return *this;
}

Json Usage::json() const {
  return {{"prompt_tokens", prompt_},
          {"completion_tokens", completion_},
          {"total_tokens", prompt_ + completion_},
          {"prompt_cache_hit_tokens", cached_},
          {"prompt_cache_miss_tokens", prompt_ - cached_},
          {"prompt_tokens_details", {{"cached_tokens", cached_}}},
          {"completion_tokens_details", {{"reasoning_tokens", reasoning_}}}};
}

void Logprobs::add(const std::vector<engine::AnswerToken>& tokens, const tokens::Tokenizer& tokenizer) {
  for (const engine::AnswerToken& token : tokens) {
    Json entry = token_json(token.id, token.logprob, tokenizer);
    Json likeliest = Json::array();
    for (const engine::TokenLogprob& other : token.top)
      likeliest.push_back(token_json(other.token, other.logprob, tokenizer));
    entry["top_logprobs"] = std::move(likeliest);
    (token.reasoning ? reasoning_ : content_).push_back(std::move(entry));
  }
}

Json Logprobs::take() {
  if (reasoning_.empty() && content_.empty()) return nullptr;
  Json result = {{"content", list_or_null(content_)}};
  if (!reasoning_.empty()) result["reasoning_content"] = list_or_null(reasoning_);
  return result;
}

Json Logprobs::take_reasoning() {
  if (reasoning_.empty()) return nullptr;
  return {{"content", nullptr}, {"reasoning_content", list_or_null(reasoning_)}};
}

Json Logprobs::take_content() {
  if (content_.empty()) return nullptr;
  return {{"content", list_or_null(content_)}};
}

ChunkWriter::ChunkWriter(AnswerHead head, const tokens::Tokenizer& tokenizer)
    : head_(std::move(head)),
      tokenizer_(&tokenizer),
      logprobs_(static_cast<std::size_t>(head_.choices)),
      has_calls_(static_cast<std::size_t>(head_.choices)) {}

Json ChunkWriter::envelope(Json choices) const {
  Json chunk = {{"id", head_.id},       {"object", "chat.completion.chunk"},       {"created", head_.created},
                {"model", head_.model}, {"system_fingerprint", head_.fingerprint}, {"choices", std::move(choices)}};
  if (head_.include_usage) chunk["usage"] = nullptr;
  return chunk;
}

std::string ChunkWriter::chunk(int choice, Json delta, Json logprobs) const {
  return data_event(envelope(Json::array({Json{{"index", choice},
                                               {"delta", std::move(delta)},
                                               {"logprobs", std::move(logprobs)},
                                               {"finish_reason", nullptr}}})));
}

std::string ChunkWriter::open() {
  std::string text;
  for (int choice = 0; choice < head_.choices; ++choice)
    text += chunk(choice, {{"role", "assistant"}, {"content", ""}}, nullptr);
  return text;
}

std::string ChunkWriter::write(int choice, const engine::AnswerDelta& delta) {
  if (done()) return {};
  Logprobs& logprobs = logprobs_[static_cast<std::size_t>(choice)];
  if (head_.logprobs) logprobs.add(delta.tokens, *tokenizer_);
  std::string text;
  if (!delta.reasoning.empty())
    text += chunk(choice, {{"content", nullptr}, {"reasoning_content", delta.reasoning}}, logprobs.take_reasoning());
  if (!delta.content.empty()) text += chunk(choice, {{"content", delta.content}}, logprobs.take_content());
  for (const engine::ToolCallDelta& call : delta.tool_calls)
    text += chunk(choice, {{"tool_calls", Json::array({call_json(choice, call)})}}, logprobs.take_content());
  if (delta.finish != FinishReason::kNone) text += finish(choice, delta);
  return text;
}

// The first delta of a call says what it is, the others are pieces of its arguments.
Json ChunkWriter::call_json(int choice, const engine::ToolCallDelta& call) {
  if (call.name.empty()) return {{"index", call.index}, {"function", {{"arguments", call.arguments}}}};
  has_calls_[static_cast<std::size_t>(choice)] = true;
  return {{"index", call.index},
          {"id", call_id(head_, choice, call.index)},
          {"type", "function"},
          {"function", {{"name", call.name}, {"arguments", call.arguments}}}};
}

std::string ChunkWriter::finish(int choice, const engine::AnswerDelta& last) {
  if (const auto failure = failure_of(last)) {
    finished_ = head_.choices;  // the stream ends here; dropping it cancels the other choices
    return data_event(error_body(*failure)) + "data: [DONE]\n\n";
  }
  ++finished_;
  usage_.add(last);
  const bool has_calls = has_calls_[static_cast<std::size_t>(choice)];
  Json chunk = envelope(Json::array({Json{{"index", choice},
                                          {"delta", {{"content", ""}}},
                                          {"logprobs", logprobs_[static_cast<std::size_t>(choice)].take()},
                                          {"finish_reason", end_name(last.finish, has_calls)}}}));
  if (!done()) return data_event(chunk);
  if (!head_.include_usage) {
    chunk["usage"] = usage_.json();
    return data_event(chunk) + "data: [DONE]\n\n";
  }
  Json totals = envelope(Json::array());
  totals["usage"] = usage_.json();
  return data_event(chunk) + data_event(totals) + "data: [DONE]\n\n";
}

AnswerCollector::AnswerCollector(AnswerHead head, const tokens::Tokenizer& tokenizer)
    : head_(std::move(head)), tokenizer_(&tokenizer), choices_(static_cast<std::size_t>(head_.choices)) {}

void AnswerCollector::add(int choice, const engine::AnswerDelta& delta) {
  Choice& collected = choices_[static_cast<std::size_t>(choice)];
  collected.reasoning += delta.reasoning;
  collected.content += delta.content;
  for (const engine::ToolCallDelta& call : delta.tool_calls) {
    if (!call.name.empty()) collected.calls.emplace_back(call.name, "");
    collected.calls.back().second += call.arguments;
  }
  if (head_.logprobs) collected.logprobs.add(delta.tokens, *tokenizer_);
  if (delta.finish == FinishReason::kNone) return;
  if (!failure_) failure_ = failure_of(delta);
  collected.finish_reason = end_name(delta.finish, !collected.calls.empty());
  usage_.add(delta);
  ++finished_;
}

Response AnswerCollector::response() const {
  if (failure_) return error_response(*failure_);
  Json choices = Json::array();
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    const Choice& choice = choices_[i];
    Json message = {{"role", "assistant"}, {"content", choice.content}};
    if (!choice.reasoning.empty()) message["reasoning_content"] = choice.reasoning;
    if (!choice.calls.empty()) {
      if (choice.content.empty()) message["content"] = nullptr;
      message["tool_calls"] = Json::array();
      for (std::size_t call = 0; call < choice.calls.size(); ++call)
        message["tool_calls"].push_back(
            {{"id", call_id(head_, static_cast<int>(i), static_cast<int>(call))},
             {"type", "function"},
             {"function", {{"name", choice.calls[call].first}, {"arguments", choice.calls[call].second}}}});
    }
    Logprobs logprobs = choice.logprobs;
    choices.push_back({{"index", i},
                       {"message", std::move(message)},
                       {"logprobs", logprobs.take()},
                       {"finish_reason", choice.finish_reason}});
  }
  return json_response(200, {{"id", head_.id},
                             {"object", "chat.completion"},
                             {"created", head_.created},
                             {"model", head_.model},
                             {"system_fingerprint", head_.fingerprint},
                             {"choices", std::move(choices)},
                             {"usage", usage_.json()}});
}

}  // namespace fathom::server
