// Options, switches and messages, one by one. What concerns another program's memory (num_ctx, num_gpu and the like)
// is accepted and means nothing here.
#include "server/ollama_request.h"

#include "server/block_reader.h"
#include "server/duration.h"
#include "server/field_reader.h"

namespace fathom::server {

namespace {

using files::Json;
using Lost = std::optional<ApiError>;

constexpr RenamedField kOptions[] = {{"temperature", "temperature"},
                                     {"top_k", "top_k"},
                                     {"top_p", "top_p"},
                                     {"min_p", "min_p"},
                                     {"seed", "seed"},
                                     {"stop", "stop"},
                                     {"max_tokens", "num_predict"},
                                     {"repetition_penalty", "repeat_penalty"},
                                     {"frequency_penalty", "frequency_penalty"},
                                     {"presence_penalty", "presence_penalty"}};

void read_options(FieldReader& fields, Json& chat) {
  const Json* options = fields.object("options");
  if (options == nullptr) return;
  for (const RenamedField& option : kOptions) {
    const auto value = options->find(option.own);
    if (value == options->end()) continue;
    // Below zero these two mean "no limit" and "any".
    const bool negative = value->is_number() && value->get<double>() < 0;
    if (negative && (option.chat == "max_tokens" || option.chat == "seed")) continue;
    chat[std::string(option.chat)] = *value;
  }
}

void read_think(FieldReader& fields, Json& chat) {
  const Json* think = fields.value("think");
  if (think == nullptr) return;
  if (think->is_boolean()) {
    chat["thinking"] = {{"type", think->get<bool>() ? "enabled" : "disabled"}};
  } else if (think->is_string()) {
    chat["reasoning_effort"] = *think;
  } else {
    fields.refuse("think", "expected true, false or an effort");
  }
}

void read_ollama_format(FieldReader& fields, Json& chat) {
  const Json* format = fields.value("format");
  if (format == nullptr || *format == "") return;
  if (*format == "json") {
    chat["response_format"] = {{"type", "json_object"}};
  } else if (format->is_object()) {
    chat["response_format"] = {{"type", "json_schema"},
                               {"json_schema", {{"name", "format"}, {"schema", *format}, {"strict", true}}}};
  } else {
    fields.refuse("format", "expected \"json\" or a JSON Schema");
  }
}

void refuse_images(FieldReader& fields) {
  const Json* images = fields.array("images");
  if (images != nullptr && !images->empty()) fields.refuse("images", "cannot be read here, only text");
}

// What both calls share.
void read_common(FieldReader& fields, Json& chat) {
  if (const Json* model = fields.value("model")) chat["model"] = *model;
  chat["stream"] = fields.boolean("stream").value_or(true);
  read_options(fields, chat);
  read_think(fields, chat);
  read_ollama_format(fields, chat);
  refuse_images(fields);
  if (fields.boolean("logprobs").value_or(false)) {
    fields.refuse({.status = 400,
                   .message = "logprobs: not given in this dialect; /v1/chat/completions has them",
                   .param = "logprobs",
                   .code = "unsupported"});
  }
}

// Ollama's calls have no ids and its results name at most the tool, so results belong to the calls in their order.
class OllamaConversation {
 public:
  Lost add(const Json& message, const std::string& where) {
    if (!message.is_object()) return bad_block(where, "expected an object with a role and content");
    FieldReader fields(message);
    Json out = {{"role", fields.text("role").value_or("")}, {"content", fields.text("content").value_or("")}};
    refuse_images(fields);
    if (auto thought = fields.text("thinking"); thought && !thought->empty()) out["reasoning_content"] = *thought;
    if (const Json* calls = fields.array("tool_calls"); calls != nullptr && !calls->empty()) {
      if (auto lost = add_calls(*calls, where + ".tool_calls", out)) return lost;
    }
    if (const auto& error = fields.error()) {
      return ApiError{.status = 400,
                      .message = fmt::format("{}.{}", where, error->message),
                      .param = fmt::format("{}.{}", where, error->param),
                      .code = error->code};
    }
    if (out["role"] == "tool") out["tool_call_id"] = call_id(answered_++);
    messages_.push_back(std::move(out));
    return std::nullopt;
  }

  Json take() {
    // A last turn of the assistant is the beginning of its answer.
    if (!messages_.empty() && messages_.back()["role"] == "assistant" && !messages_.back().contains("tool_calls"))
      messages_.back()["prefix"] = true;
    return std::move(messages_);
  }

 private:
  static std::string call_id(int number) { return fmt::format("call_{}", number); }

  Lost add_calls(const Json& calls, const std::string& where, Json& out) {
    out["tool_calls"] = Json::array();
    for (std::size_t i = 0; i < calls.size(); ++i) {
      const std::string at = fmt::format("{}[{}].function", where, i);
      const Json function = calls[i].is_object() ? calls[i].value("function", Json()) : Json();
      if (!function.is_object()) return bad_block(at, "expected an object");
      auto name = block_text(function, "name", at);
      if (!name) return name.error();
      const Json arguments = function.value("arguments", Json::object());
      out["tool_calls"].push_back(
          {{"id", call_id(called_++)},
           {"type", "function"},
           {"function",
            {{"name", std::move(*name)},
             {"arguments", arguments.is_string() ? arguments.get<std::string>() : json_text(arguments)}}}});
    }
    return std::nullopt;
  }

  Json messages_ = Json::array();
  int called_ = 0, answered_ = 0;
};

}  // namespace

ApiResult<std::optional<KeepAlive>> read_keep_alive(const Json& body) {
  FieldReader fields(body);
  const Json* given = fields.value("keep_alive");
  if (given == nullptr) return std::nullopt;
  std::optional<KeepAlive> time;
  if (given->is_number()) time = duration_of(given->get<double>());
  if (given->is_string()) time = parse_duration(given->get_ref<const std::string&>());
  if (!time)
    return std::unexpected(ApiError{.status = 400,
                                    .message = "keep_alive: expected seconds, or a time such as \"10m\"",
                                    .param = "keep_alive",
                                    .code = "invalid_value"});
  return time;
}

ApiResult<Json> ollama_chat_to_chat(const Json& body) {
  Json chat = Json::object();
  FieldReader fields(body);
  read_common(fields, chat);
  if (const Json* tools = fields.array("tools"); tools != nullptr && !tools->empty()) chat["tools"] = *tools;
  const Json* given = fields.array("messages");
  if (fields.error()) return std::unexpected(ollama_error(*fields.error()));
  OllamaConversation conversation;
  for (std::size_t i = 0; given != nullptr && i < given->size(); ++i) {
    if (auto lost = conversation.add((*given)[i], fmt::format("messages[{}]", i)))
      return std::unexpected(std::move(*lost));
  }
  chat["messages"] = conversation.take();
  return chat;
}

ApiResult<OllamaGenerate> ollama_generate_to_chat(const Json& body) {
  OllamaGenerate call;
  FieldReader fields(body);
  read_common(fields, call.body);
  const std::string prompt = fields.text("prompt").value_or(""), system = fields.text("system").value_or("");
  const std::string suffix = fields.text("suffix").value_or("");
  const bool raw = fields.boolean("raw").value_or(false);
  if (const auto text = fields.text("template"); text && !text->empty())
    fields.refuse("template", "the model's own template is used: leave it out");
  if (const Json* context = fields.array("context"); context != nullptr && !context->empty())
    fields.refuse("context", "not kept here: send the conversation to /api/chat");
  if (fields.error()) return std::unexpected(ollama_error(*fields.error()));
  if (prompt.empty() && suffix.empty()) {
    call.kind = OllamaGenerate::Kind::kLoad;
  } else if (raw || !suffix.empty()) {
    call.kind = OllamaGenerate::Kind::kCompletion;
    call.body["prompt"] = prompt;
    if (!suffix.empty()) call.body["suffix"] = suffix;
    for (const char* name : {"response_format", "thinking", "reasoning_effort"}) {
      if (!call.body.contains(name)) continue;
      return std::unexpected(ollama_error({.status = 400,
                                           .message = fmt::format("{}: not for a raw text or a suffix", name),
                                           .param = name,
                                           .code = "unsupported"}));
    }
  } else {
    call.body["messages"] = Json::array();
    if (!system.empty()) call.body["messages"].push_back({{"role", "system"}, {"content", system}});
    call.body["messages"].push_back({{"role", "user"}, {"content", prompt}});
  }
  return call;
}

ApiError ollama_error(ApiError error) {
  static const auto kNames = [] {
    std::vector<std::pair<std::string, std::string>> names;
    for (const RenamedField& option : kOptions) names.emplace_back(option.chat, fmt::format("options.{}", option.own));
    names.emplace_back("response_format", "format");
    names.emplace_back("reasoning_effort", "think");
    names.emplace_back("thinking", "think");
    return names;
  }();
  std::vector<RenamedField> names;
  for (const auto& [chat, own] : kNames) names.push_back({chat, own});
  return in_own_words(std::move(error), names);
}

}  // namespace fathom::server
