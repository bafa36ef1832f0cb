// Checks and texts that every native format needs.
#include "tokens/chat_format.h"

#include "tokens/jinja/value.h"

namespace fathom::tokens {

bool is_system(const Message& message) {
  return message.role == "system" || message.role == "developer";
}

base::Result<void> check_messages(std::string_view format, const std::vector<Message>& messages) {
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const Message& m = messages[i];
    if (!is_system(m) && m.role != "user" && m.role != "assistant" && m.role != "tool") {
      return base::fail("messages[{}].role is '{}', the format {} has system, user, assistant and tool", i,
                        m.role.substr(0, 40), format);
    }
    if (!m.prefix) continue;
    if (m.role != "assistant" || i + 1 != messages.size()) {
      return base::fail("messages[{}].prefix: only the last message can be continued, and only an assistant's", i);
    }
    if (!m.tool_calls.empty())
      return base::fail("messages[{}].prefix: a message with tool calls cannot be continued", i);
  }
  return {};
}

std::string joined_system(const std::vector<Message>& messages) {
  std::string text;
  bool first = true;
  for (const Message& m : messages) {
    if (!is_system(m)) continue;
    if (!std::exchange(first, false)) text += "\n\n";
    text += m.content;
  }
  return text;
}

std::string python_json(const files::Json& json) {
  jinja::Heap heap;
  jinja::Text out;
  jinja::append_json(out, jinja::from_json(json, heap), {});
  return out.bytes;
}

base::Result<std::vector<ToolFunction>> tool_functions(const files::Json& tools) {
  std::vector<ToolFunction> out;
  for (std::size_t i = 0; i < tools.size(); ++i) {
    const files::Json& tool = tools[i];
    const auto it = tool.is_object() ? tool.find("function") : tool.end();
    if (!tool.is_object() || it == tool.end() || !it->is_object() || !it->contains("name") ||
        !(*it)["name"].is_string()) {
      return base::fail("tools[{}]: expected an object with function.name", i);
    }
    ToolFunction function{(*it)["name"].get<std::string>(), {}, files::Json::object()};
    if (it->contains("description") && (*it)["description"].is_string())
      function.description = (*it)["description"].get<std::string>();
    if (it->contains("parameters")) function.parameters = (*it)["parameters"];
    out.push_back(std::move(function));
  }
  return out;
}

}  // namespace fathom::tokens
