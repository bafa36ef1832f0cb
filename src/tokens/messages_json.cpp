// The OpenAI form of a conversation.
#include <algorithm>

#include "tokens/chat_format.h"

namespace fathom::tokens {
namespace {

using files::Json;

const Json* field(const Json& object, const char* name) {
  const auto it = object.find(name);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

base::Result<std::string> string_field(const Json& object, const char* name, std::string_view where) {
  const Json* value = field(object, name);
  if (value == nullptr) return std::string();
  if (!value->is_string()) return base::fail("{}.{}: expected a string, found {}", where, name, value->type_name());
  return value->get<std::string>();
}

// A string, or parts of type text, which are joined by line ends.
base::Result<std::string> content_field(const Json& message, std::string_view where) {
  const Json* value = field(message, "content");
  if (value == nullptr) return std::string();
  if (value->is_string()) return value->get<std::string>();
  if (!value->is_array())
    return base::fail("{}.content: expected a string or an array of parts, found {}", where, value->type_name());
  std::string text;
  for (std::size_t i = 0; i < value->size(); ++i) {
    const Json& part = (*value)[i];
    const std::string at = fmt::format("{}.content[{}]", where, i);
    if (!part.is_object()) return base::fail("{}: expected an object with a type, found {}", at, part.type_name());
    const auto type = string_field(part, "type", at);
    if (!type) return std::unexpected(type.error());
    if (*type != "text")
      return base::fail("{}: a part of type '{}' cannot be read, only text", at, type->substr(0, 40));
    const auto piece = string_field(part, "text", at);
    if (!piece) return std::unexpected(piece.error());
    if (i > 0) text += '\n';
    text += *piece;
  }
  return text;
}

base::Result<ToolCall> tool_call(const Json& json, const std::string& where) {
  if (!json.is_object()) return base::fail("{}: expected an object, found {}", where, json.type_name());
  const Json* function = field(json, "function");
  if (function == nullptr || !function->is_object()) return base::fail("{}.function: expected an object", where);
  auto id = string_field(json, "id", where);
  if (!id) return std::unexpected(id.error());
  auto name = string_field(*function, "name", where + ".function");
  if (!name) return std::unexpected(name.error());
  if (name->empty()) return base::fail("{}.function.name: expected the name of a function", where);
  const Json* arguments = field(*function, "arguments");
  std::string text = "{}";
  if (arguments != nullptr) text = arguments->is_string() ? arguments->get<std::string>() : python_json(*arguments);
  return ToolCall{std::move(*id), std::move(*name), std::move(text)};
}

base::Result<std::vector<ToolCall>> tool_calls(const Json& message, const std::string& where) {
  std::vector<ToolCall> out;
  const Json* list = field(message, "tool_calls");
  if (list == nullptr) return out;
  if (!list->is_array()) return base::fail("{}.tool_calls: expected an array, found {}", where, list->type_name());
  for (std::size_t i = 0; i < list->size(); ++i) {
    auto call = tool_call((*list)[i], fmt::format("{}.tool_calls[{}]", where, i));
    if (!call) return std::unexpected(call.error());
    out.push_back(std::move(*call));
  }
  return out;
}

base::Result<Message> one_message(const Json& json, const std::string& where) {
  if (!json.is_object()) return base::fail("{}: expected an object, found {}", where, json.type_name());
  Message m;
  struct Field {
    const char* name;
    std::string* into;
  };
  for (const auto& [name, into] : {Field{"role", &m.role}, Field{"reasoning_content", &m.reasoning},
                                   Field{"tool_call_id", &m.tool_call_id}, Field{"name", &m.name}}) {
    auto value = string_field(json, name, where);
    if (!value) return std::unexpected(value.error());
    *into = std::move(*value);
  }
  if (std::ranges::find(kRoles, m.role) == kRoles.end()) {
    return base::fail("{}.role: expected system, developer, user, assistant or tool, found '{}'", where,
                      m.role.substr(0, 40));
  }
  auto content = content_field(json, where);
  if (!content) return std::unexpected(content.error());
  m.content = std::move(*content);
  auto calls = tool_calls(json, where);
  if (!calls) return std::unexpected(calls.error());
  m.tool_calls = std::move(*calls);
  if (const Json* prefix = field(json, "prefix")) {
    if (!prefix->is_boolean()) return base::fail("{}.prefix: expected true or false", where);
    m.prefix = prefix->get<bool>();
  }
  return m;
}

}  // namespace

base::Result<std::vector<Message>> messages_from_json(const Json& messages) {
  if (!messages.is_array()) return base::fail("messages: expected an array, found {}", messages.type_name());
  std::vector<Message> out;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    auto m = one_message(messages[i], fmt::format("messages[{}]", i));
    if (!m) return std::unexpected(m.error());
    out.push_back(std::move(*m));
  }
  return out;
}

}  // namespace fathom::tokens
