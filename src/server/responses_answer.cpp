// Every event carries its type and a running number; the last one carries the whole response once more.
#include "server/responses_answer.h"

#include "server/chat_answer.h"

namespace fathom::server {

namespace {

using engine::AnswerDelta;
using engine::FinishReason;
using files::Json;
using Kind = AnswerBlock::Kind;

std::string item_id(const ResponseHead& head, const char* prefix, std::size_t index) {
  return fmt::format("{}_{}_{}", prefix, head.id.substr(head.id.find('_') + 1), index);
}

Json logprobs_json(const AnswerBlock& block, const ResponseHead& head) {
  Logprobs logprobs;
  logprobs.add(block.tokens, *head.tokenizer);
  const Json taken = logprobs.take_content();
  return taken.is_null() ? Json::array() : taken["content"];
}

Json part_json(const AnswerBlock& block, const ResponseHead& head) {
  if (block.kind == Kind::kReasoning) return {{"type", "reasoning_text"}, {"text", block.text}};
  return {{"type", "output_text"},
          {"text", block.text},
          {"annotations", Json::array()},
          {"logprobs", logprobs_json(block, head)}};
}

Json item_json(const AnswerBlock& block, std::size_t index, const ResponseHead& head, const char* status) {
  const bool begun = std::string_view(status) != "in_progress";
  Json parts = begun ? Json::array({part_json(block, head)}) : Json::array();
  switch (block.kind) {
    case Kind::kReasoning:
      return {{"id", item_id(head, "rs", index)},
              {"type", "reasoning"},
              {"summary", Json::array()},
              {"content", std::move(parts)},
              {"status", status}};
    case Kind::kCall:
      return {{"id", item_id(head, "fc", index)},        {"type", "function_call"}, {"status", status},
              {"call_id", item_id(head, "call", index)}, {"name", block.name},      {"arguments", block.text}};
    default:
      return {{"id", item_id(head, "msg", index)},
              {"type", "message"},
              {"status", status},
              {"role", "assistant"},
              {"content", std::move(parts)}};
  }
}

std::string item_id(const AnswerBlock& block, std::size_t index, const ResponseHead& head) {
  return item_json(block, index, head, "in_progress")["id"];
}

const char* status_of(const AnswerDelta& last) {
  if (run_error(last)) return "failed";
  return last.finish == FinishReason::kLength ? "incomplete" : "completed";
}

Json responses_usage(const AnswerDelta& last) {
  const int input = last.statistics.prompt_tokens, output = last.statistics.generated_tokens;
  return {{"input_tokens", input},
          {"input_tokens_details", {{"cached_tokens", last.statistics.cached_tokens}}},
          {"output_tokens", output},
          {"output_tokens_details", {{"reasoning_tokens", last.reasoning_tokens}}},
          {"total_tokens", input + output}};
}

// `answer` without its last delta is one under way.
Json response_json(const ResponseHead& head, const BlockAnswer& answer) {
  const bool over = answer.last.finish != FinishReason::kNone;
  const char* status = over ? status_of(answer.last) : "in_progress";
  Json output = Json::array();
  for (std::size_t i = 0; i < answer.blocks.size(); ++i) {
    const bool cut = i + 1 == answer.blocks.size() && std::string_view(status) != "completed";
    output.push_back(item_json(answer.blocks[i], i, head, cut ? "incomplete" : "completed"));
  }
  const auto error = run_error(answer.last);
  Json response = {{"id", head.id},
                   {"object", "response"},
                   {"created_at", head.created},
                   {"status", status},
                   {"error", error ? Json{{"code", "server_error"}, {"message", error->message}} : Json(nullptr)},
                   {"incomplete_details", nullptr},
                   {"model", head.model},
                   {"output", std::move(output)},
                   {"usage", over ? responses_usage(answer.last) : Json(nullptr)}};
  if (answer.last.finish == FinishReason::kLength) response["incomplete_details"] = {{"reason", "max_output_tokens"}};
  response.update(head.asked);
  return response;
}

class ResponseStream final : public BlockStream {
 public:
  explicit ResponseStream(ResponseHead head) : head_(std::move(head)) {}

  std::string open() override {
    std::string out;  // one after the other: each takes the next number
    for (const char* type : {"response.created", "response.in_progress"})
      out += event(type, {{"response", response_json(head_, {})}});
    return out;
  }

 protected:
  std::string begin(const AnswerDelta&) override { return {}; }

  std::string open_block(const AnswerBlock& block) override {
    std::string out = event("response.output_item.added",
                            {{"output_index", index()}, {"item", item_json(block, index(), head_, "in_progress")}});
    if (block.kind != Kind::kCall) out += in_part("response.content_part.added", {{"part", part_json(block, head_)}});
    return out;
  }

  std::string piece(const AnswerBlock& block, const std::string& text) override {
    switch (block.kind) {
      case Kind::kReasoning:
        return in_part("response.reasoning_text.delta", {{"delta", text}});
      case Kind::kCall:
        return in_item("response.function_call_arguments.delta", {{"delta", text}});
      default:
        return in_part("response.output_text.delta", {{"delta", text}, {"logprobs", Json::array()}});
    }
  }

  std::string close_block(const AnswerBlock& block) override {
    std::string out;
    if (block.kind == Kind::kCall) {
      out = in_item("response.function_call_arguments.done", {{"name", block.name}, {"arguments", block.text}});
    } else {
      out = block.kind == Kind::kReasoning ? in_part("response.reasoning_text.done", {{"text", block.text}})
                                           : in_part("response.output_text.done",
                                                     {{"text", block.text}, {"logprobs", logprobs_json(block, head_)}});
      out += in_part("response.content_part.done", {{"part", part_json(block, head_)}});
    }
    const bool cut = answer().last.finish == FinishReason::kLength;
    return out + event("response.output_item.done",
                       {{"output_index", index()},
                        {"item", item_json(block, index(), head_, cut ? "incomplete" : "completed")}});
  }

  std::string end() override {
    return event(fmt::format("response.{}", status_of(answer().last)), {{"response", response_json(head_, answer())}});
  }

  std::string fail(const ApiError&) override { return end(); }

 private:
  std::string event(const std::string& type, Json fields) {
    Json data = {{"type", type}, {"sequence_number", number_++}};
    data.update(fields);
    return named_event(type, data);
  }
  std::string in_item(const char* type, Json fields) {
    Json all = {{"item_id", item_id(answer().blocks.back(), index(), head_)}, {"output_index", index()}};
    all.update(fields);
    return event(type, std::move(all));
  }
  std::string in_part(const char* type, Json fields) {
    Json all = {{"content_index", 0}};
    all.update(fields);
    return in_item(type, std::move(all));
  }

  ResponseHead head_;
  int number_ = 0;
};

}  // namespace

Json repeated_fields(const Json& body) {
  Json fields = {{"instructions", nullptr},
                 {"max_output_tokens", nullptr},
                 {"metadata", Json::object()},
                 {"parallel_tool_calls", true},
                 {"previous_response_id", nullptr},
                 {"reasoning", Json::object()},
                 {"temperature", nullptr},
                 {"text", {{"format", {{"type", "text"}}}}},
                 {"tool_choice", "auto"},
                 {"tools", Json::array()},
                 {"top_p", nullptr},
                 {"truncation", "disabled"},
                 {"user", nullptr}};
  for (auto& [name, value] : fields.items()) {
    if (body.contains(name) && !body[name].is_null()) value = body[name];
  }
  fields["truncation"] = "disabled";  // whatever was asked: nothing is ever cut
  fields["store"] = false;
  return fields;
}

std::unique_ptr<StreamWriter> response_stream(ResponseHead head) {
  return std::make_unique<ResponseStream>(std::move(head));
}

Response whole_response(const ResponseHead& head, const BlockAnswer& answer) {
  if (const auto error = run_error(answer.last)) return error_response(*error);
  return json_response(200, response_json(head, answer));
}

}  // namespace fathom::server
