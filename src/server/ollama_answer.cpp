// A line for each piece of text; a tool call is one line, since its arguments are an object and no text in pieces.
#include "server/ollama_answer.h"

#include "base/clock.h"

namespace fathom::server {

namespace {

using engine::AnswerDelta;
using files::Json;
using Kind = AnswerBlock::Kind;

struct Said {
  std::string text, thought;
  Json calls = Json::array();
};

Json object_json(const OllamaHead& head, const Said& said) {
  Json object = {{"model", head.model}, {"created_at", base::rfc3339(base::unix_seconds())}};
  Json text = head.call == OllamaCall::kChat ? Json{{"role", "assistant"}, {"content", said.text}}
                                             : Json{{"response", said.text}};
  if (!said.thought.empty()) text["thinking"] = said.thought;
  if (!said.calls.empty()) text["tool_calls"] = said.calls;
  if (head.call == OllamaCall::kChat) {
    object["message"] = std::move(text);
  } else {
    object.update(text);
  }
  object["done"] = false;
  return object;
}

std::int64_t nanoseconds(double seconds) {
  return static_cast<std::int64_t>(seconds * 1e9);
}

// The models are loaded before they are asked, so there is no load_duration to speak of.
void finish(Json& object, const AnswerDelta& last) {
  const engine::RunStatistics& run = last.statistics;
  object["done"] = true;
  object["done_reason"] = last.finish == engine::FinishReason::kLength ? "length" : "stop";
  object["total_duration"] = nanoseconds(run.queue_seconds + run.prefill_seconds + run.decode_seconds);
  object["load_duration"] = 0;
  object["prompt_eval_count"] = run.prompt_tokens;
  object["prompt_eval_duration"] = nanoseconds(run.prefill_seconds);
  object["eval_count"] = run.generated_tokens;
  object["eval_duration"] = nanoseconds(run.decode_seconds);
}

Json call_json(const AnswerBlock& block) {
  Json arguments = Json::parse(block.text, nullptr, false);
  if (!arguments.is_object()) arguments = Json::object();  // cut off by the limit of tokens
  return {{"function", {{"name", block.name}, {"arguments", std::move(arguments)}}}};
}

Json error_json(const ApiError& error) {
  return {{"error", error.message}};
}

std::string line(const Json& object) {
  return json_text(object) + "\n";
}

class OllamaStream final : public BlockStream {
 public:
  explicit OllamaStream(OllamaHead head) : head_(std::move(head)) {}
  std::string_view content_type() const override { return "application/x-ndjson"; }
  // Clients read every line as an object; one without text harms none of them.
  std::string keep_alive() const override { return line(object_json(head_, {})); }

 protected:
  std::string begin(const AnswerDelta&) override { return {}; }
  std::string open_block(const AnswerBlock&) override { return {}; }
  std::string piece(const AnswerBlock& block, const std::string& text) override {
    if (block.kind == Kind::kCall) return {};
    return line(object_json(head_, block.kind == Kind::kReasoning ? Said{.thought = text} : Said{.text = text}));
  }
  std::string close_block(const AnswerBlock& block) override {
    if (block.kind != Kind::kCall) return {};
    return line(object_json(head_, {.calls = Json::array({call_json(block)})}));
  }
  std::string end() override {
    Json last = object_json(head_, {});
    finish(last, answer().last);
    return line(last);
  }
  std::string fail(const ApiError& error) override { return line(error_json(error)); }

 private:
  OllamaHead head_;
};

}  // namespace

std::unique_ptr<StreamWriter> ollama_stream(OllamaHead head) {
  return std::make_unique<OllamaStream>(std::move(head));
}

Response whole_ollama(const OllamaHead& head, const BlockAnswer& answer) {
  if (const auto error = run_error(answer.last)) return ollama_error_response(*error);
  Said said;
  for (const AnswerBlock& block : answer.blocks) {
    if (block.kind == Kind::kCall) {
      said.calls.push_back(call_json(block));
    } else {
      (block.kind == Kind::kReasoning ? said.thought : said.text) += block.text;
    }
  }
  Json object = object_json(head, said);
  finish(object, answer.last);
  return json_response(200, object);
}

Json ollama_ready(const OllamaHead& head, std::string_view reason) {
  Json object = object_json(head, {});
  object["done"] = true;
  object["done_reason"] = reason;
  return object;
}

Response ollama_error_response(const ApiError& error) {
  Response response = error_response(error);  // for its headers
  response.body = json_text(error_json(error));
  return response;
}

}  // namespace fathom::server
