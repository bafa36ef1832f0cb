// Blocks and their events, each with the fields that Anthropic's clients check.
#include "server/messages_answer.h"

#include "server/messages_request.h"

namespace fathom::server {

namespace {

using engine::AnswerDelta;
using engine::FinishReason;
using files::Json;
using Kind = AnswerBlock::Kind;

// Anthropic counts what the cache gave apart from what had to be read.
Json messages_usage(const AnswerDelta& delta) {
  return {{"input_tokens", delta.statistics.prompt_tokens - delta.statistics.cached_tokens},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", delta.statistics.cached_tokens},
          {"output_tokens", delta.statistics.generated_tokens}};
}

const char* stop_reason(const BlockAnswer& answer) {
  if (answer.last.finish == FinishReason::kLength) return "max_tokens";
  if (!answer.last.stop_text.empty()) return "stop_sequence";
  return answer.calls() ? "tool_use" : "end_turn";
}

Json stop_sequence(const BlockAnswer& answer) {
  return answer.last.stop_text.empty() ? Json(nullptr) : Json(answer.last.stop_text);
}

std::string call_id(const MessageHead& head, std::size_t index) {
  return fmt::format("toolu_{}_{}", head.id.substr(head.id.find('_') + 1), index);
}

Json message_json(const MessageHead& head, Json content, Json reason, Json sequence, Json usage) {
  return {{"id", head.id},
          {"type", "message"},
          {"role", "assistant"},
          {"model", head.model},
          {"content", std::move(content)},
          {"stop_reason", std::move(reason)},
          {"stop_sequence", std::move(sequence)},
          {"usage", std::move(usage)}};
}

Json block_json(const AnswerBlock& block, std::size_t index, const MessageHead& head) {
  switch (block.kind) {
    case Kind::kReasoning:
      return {{"type", "thinking"}, {"thinking", block.text}, {"signature", signature_of(block.text)}};
    case Kind::kCall: {
      Json input = Json::parse(block.text, nullptr, false);
      if (!input.is_object()) input = Json::object();  // cut off by the limit of tokens
      return {{"type", "tool_use"}, {"id", call_id(head, index)}, {"name", block.name}, {"input", std::move(input)}};
    }
    default:
      return {{"type", "text"}, {"text", block.text}};
  }
}

Json anthropic_error_body(const ApiError& error) {
  const auto type = [&] {
    switch (error.status) {
      case 401:
        return "authentication_error";
      case 402:
        return "billing_error";
      case 403:
        return "permission_error";
      case 404:
        return "not_found_error";
      case 413:
        return "request_too_large";
      case 429:
        return "rate_limit_error";
      case 503:
        return "overloaded_error";
      default:
        return error.status >= 500 ? "api_error" : "invalid_request_error";
    }
  };
  return {{"type", "error"}, {"error", {{"type", type()}, {"message", error.message}}}};
}

std::string event(const char* type, Json fields) {
  Json data = {{"type", type}};
  data.update(fields);
  return named_event(type, data);
}

class MessageStream final : public BlockStream {
 public:
  explicit MessageStream(MessageHead head) : head_(std::move(head)) {}
  std::string keep_alive() const override { return event("ping", Json::object()); }

 protected:
  std::string begin(const AnswerDelta& first) override {
    Json usage = messages_usage(first);
    usage["output_tokens"] = 0;
    return event("message_start",
                 {{"message", message_json(head_, Json::array(), nullptr, nullptr, std::move(usage))}});
  }

  std::string open_block(const AnswerBlock& block) override {
    Json empty = block_json(block, index(), head_);
    if (block.kind == Kind::kReasoning) empty["signature"] = "";
    return event("content_block_start", {{"index", index()}, {"content_block", std::move(empty)}});
  }

  std::string piece(const AnswerBlock& block, const std::string& text) override {
    switch (block.kind) {
      case Kind::kReasoning:
        return delta({{"type", "thinking_delta"}, {"thinking", text}});
      case Kind::kCall:
        return delta({{"type", "input_json_delta"}, {"partial_json", text}});
      default:
        return delta({{"type", "text_delta"}, {"text", text}});
    }
  }

  std::string close_block(const AnswerBlock& block) override {
    std::string out;
    if (block.kind == Kind::kReasoning)
      out = delta({{"type", "signature_delta"}, {"signature", signature_of(block.text)}});
    return out + event("content_block_stop", {{"index", index()}});
  }

  std::string end() override {
    return event("message_delta",
                 {{"delta", {{"stop_reason", stop_reason(answer())}, {"stop_sequence", stop_sequence(answer())}}},
                  {"usage", messages_usage(answer().last)}}) +
           event("message_stop", Json::object());
  }

  std::string fail(const ApiError& error) override { return named_event("error", anthropic_error_body(error)); }

 private:
  std::string delta(Json fields) const {
    return event("content_block_delta", {{"index", index()}, {"delta", std::move(fields)}});
  }

  MessageHead head_;
};

}  // namespace

std::unique_ptr<StreamWriter> message_stream(MessageHead head) {
  return std::make_unique<MessageStream>(std::move(head));
}

Response whole_message(const MessageHead& head, const BlockAnswer& answer) {
  if (const auto error = run_error(answer.last)) return anthropic_error(*error);
  Json content = Json::array();
  for (std::size_t i = 0; i < answer.blocks.size(); ++i) content.push_back(block_json(answer.blocks[i], i, head));
  return json_response(200, message_json(head, std::move(content), stop_reason(answer), stop_sequence(answer),
                                         messages_usage(answer.last)));
}

Response anthropic_error(const ApiError& error) {
  Response response = error_response(error);  // for its headers
  response.body = json_text(anthropic_error_body(error));
  return response;
}

}  // namespace fathom::server
