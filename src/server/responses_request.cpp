// Item by item. What needs a memory of earlier requests, or tools that a service runs, is refused.
#include "server/responses_request.h"

#include "server/block_reader.h"
#include "server/field_reader.h"

namespace fathom::server {

namespace {

using files::Json;
using Lost = std::optional<ApiError>;

constexpr std::string_view kTextParts[] = {"input_text", "output_text", "text"};
constexpr std::string_view kThought[] = {"reasoning_text", "summary_text", "text"};

// The messages of a chat, made of items: what an assistant thought, said and called in a row is one message of its own.
class ResponsesConversation {
 public:
  Lost add(const Json& item, const std::string& where) {
    if (!item.is_object()) return bad_block(where, "expected an object");
    const std::string type = block_type(item);
    if (type == "message" || (type.empty() && item.contains("role"))) return add_message(item, where);
    if (type == "reasoning") return add_thought(item, where);
    if (type == "function_call") return add_call(item, where);
    if (type == "function_call_output") return add_output(item, where);
    return unreadable_block(where, item, "message, reasoning, function_call and function_call_output");
  }
  void add_text(std::string_view role, std::string text) {
    messages_.push_back({{"role", role}, {"content", std::move(text)}});
  }
  Json take() { return std::move(messages_); }

 private:
  Lost add_message(const Json& item, const std::string& where) {
    auto role = block_text(item, "role", where);
    if (!role) return role.error();
    if (*role != "user" && *role != "assistant" && *role != "system" && *role != "developer")
      return bad_block(where + ".role", "expected user, assistant, system or developer");
    const Json content = item.value("content", Json());
    if (content.is_null()) return bad_block(where + ".content", "expected a string or an array of parts");
    auto text = joined_text(content, where + ".content", kTextParts);
    if (!text) return text.error();
    if (*role == "assistant") {
      assistant("content")["content"] = std::move(*text);
    } else {
      add_text(*role, std::move(*text));
    }
    return std::nullopt;
  }

  Lost add_thought(const Json& item, const std::string& where) {
    const bool whole = item.contains("content") && item["content"].is_array() && !item["content"].empty();
    const char* field = whole ? "content" : "summary";
    auto text = joined_text(item.value(field, Json()), fmt::format("{}.{}", where, field), kThought);
    if (!text) return text.error();
    if (!text->empty()) assistant("reasoning_content")["reasoning_content"] = std::move(*text);
    return std::nullopt;
  }

  Lost add_call(const Json& item, const std::string& where) {
    auto id = block_text(item, "call_id", where);
    if (!id) return id.error();
    auto name = block_text(item, "name", where);
    if (!name) return name.error();
    auto arguments = block_text(item, "arguments", where);
    if (!arguments) return arguments.error();
    Json& message = assistant("tool_calls");
    if (!message.contains("tool_calls")) message["tool_calls"] = Json::array();
    message["tool_calls"].push_back({{"id", std::move(*id)},
                                     {"type", "function"},
                                     {"function", {{"name", std::move(*name)}, {"arguments", std::move(*arguments)}}}});
    return std::nullopt;
  }

  Lost add_output(const Json& item, const std::string& where) {
    auto id = block_text(item, "call_id", where);
    if (!id) return id.error();
    auto text = joined_text(item.value("output", Json()), where + ".output", kTextParts);
    if (!text) return text.error();
    messages_.push_back({{"role", "tool"}, {"tool_call_id", std::move(*id)}, {"content", std::move(*text)}});
    return std::nullopt;
  }

  // The assistant's message that `part` belongs to: the last one while nothing stands there that comes after the part.
  Json& assistant(std::string_view part) {
    const bool open = !messages_.empty() && messages_.back()["role"] == "assistant";
    const bool called = open && messages_.back().contains("tool_calls");
    const bool said = open && !messages_.back()["content"].is_null();
    const bool fits = part == "tool_calls" || (part == "content" && !called && !said) ||
                      (part == "reasoning_content" && !called && !said && !messages_.back().contains(part));
    if (!open || !fits) messages_.push_back({{"role", "assistant"}, {"content", nullptr}});
    return messages_.back();
  }

  Json messages_ = Json::array();
};

Lost read_input(FieldReader& fields, Json& chat) {
  ResponsesConversation conversation;
  if (auto instructions = fields.text("instructions")) conversation.add_text("system", std::move(*instructions));
  const Json* input = fields.value("input");
  if (input == nullptr || (!input->is_string() && !input->is_array()))
    return bad_block("input", "expected a string or an array of items");
  if (input->is_string()) {
    conversation.add_text("user", input->get<std::string>());
  } else {
    for (std::size_t i = 0; i < input->size(); ++i) {
      if (auto lost = conversation.add((*input)[i], fmt::format("input[{}]", i))) return lost;
    }
  }
  chat["messages"] = conversation.take();
  return std::nullopt;
}

Lost refuse_memory(FieldReader& fields, Json&) {
  for (const char* name : {"previous_response_id", "conversation", "prompt"}) {
    if (fields.value(name) == nullptr) continue;
    return ApiError{.status = 400,
                    .message = fmt::format(
                        "{}: this server stores nothing between requests; send the whole conversation as input", name),
                    .param = name,
                    .code = "unsupported"};
  }
  if (fields.boolean("background").value_or(false)) {
    return ApiError{.status = 400,
                    .message = "background: answers are not kept here; leave it out and read the stream",
                    .param = "background",
                    .code = "unsupported"};
  }
  return std::nullopt;
}

// The fields of a function, which stand in an object of their own in a chat.
Json nested(const Json& flat, const char* type, std::initializer_list<const char*> names) {
  Json inner = Json::object();
  for (const char* name : names) {
    if (flat.contains(name) && !flat[name].is_null()) inner[name] = flat[name];
  }
  return {{"type", type}, {type, std::move(inner)}};
}

Lost read_responses_tools(FieldReader& fields, Json& chat) {
  if (const Json* tools = fields.array("tools")) {
    Json functions = Json::array();
    for (std::size_t i = 0; i < tools->size(); ++i) {
      if (block_type((*tools)[i]) != "function")
        return unreadable_block(fmt::format("tools[{}]", i), (*tools)[i], "tools of type function");
      functions.push_back(nested((*tools)[i], "function", {"name", "description", "parameters", "strict"}));
    }
    chat["tools"] = std::move(functions);
  }
  if (const Json* choice = fields.value("tool_choice")) {
    const bool function = block_type(*choice) == "function";
    if (!choice->is_string() && !function)
      return bad_block("tool_choice", "expected none, auto, required or {\"type\":\"function\",\"name\":...}");
    chat["tool_choice"] = function ? nested(*choice, "function", {"name"}) : *choice;
  }
  return std::nullopt;
}

Lost read_responses_format(FieldReader& fields, Json& chat) {
  const Json* text = fields.object("text");
  if (text == nullptr || !text->contains("format") || (*text)["format"].is_null()) return std::nullopt;
  const Json& format = (*text)["format"];
  chat["response_format"] = block_type(format) == "json_schema"
                                ? nested(format, "json_schema", {"name", "description", "schema", "strict"})
                                : format;
  return std::nullopt;
}

Lost read_logprobs(FieldReader& fields, Json& chat) {
  const Json* include = fields.array("include");
  bool wanted = fields.value("top_logprobs") != nullptr;
  for (const Json& each : include == nullptr ? Json::array() : *include)
    wanted = wanted || each == "message.output_text.logprobs";
  if (wanted) chat["logprobs"] = true;
  return std::nullopt;
}

}  // namespace

ApiResult<Json> responses_to_chat(const Json& body) {
  Json chat = Json::object();
  for (const char* name :
       {"model", "stream", "temperature", "top_p", "top_logprobs", "parallel_tool_calls", "user", "seed"}) {
    if (body.contains(name)) chat[name] = body[name];
  }
  FieldReader fields(body);
  if (const Json* limit = fields.value("max_output_tokens")) chat["max_tokens"] = *limit;
  if (const Json* reasoning = fields.object("reasoning")) chat["reasoning_effort"] = reasoning->value("effort", Json());
  for (const auto read : {refuse_memory, read_input, read_responses_tools, read_responses_format, read_logprobs}) {
    if (auto lost = read(fields, chat)) return std::unexpected(std::move(*lost));
  }
  if (fields.error()) return std::unexpected(responses_error(*fields.error()));
  return chat;
}

ApiError responses_error(ApiError error) {
  constexpr RenamedField kNames[] = {{"messages", "input"},
                                     {"max_tokens", "max_output_tokens"},
                                     {"response_format", "text.format"},
                                     {"reasoning_effort", "reasoning.effort"}};
  return in_own_words(std::move(error), kNames);
}

}  // namespace fathom::server
