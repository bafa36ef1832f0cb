// Tools as text in the Hermes form.
#include "tokens/chat_format.h"

namespace fathom::tokens {

void write_hermes_calls(const Message& message, PromptBuilder& out) {
  bool line = !message.content.empty();
  for (const ToolCall& call : message.tool_calls) {
    if (std::exchange(line, true)) out.fixed("\n");
    out.fixed("<tool_call>\n{\"name\": \"").given(call.name).fixed("\", \"arguments\": ");
    const auto arguments = files::parse_json(call.arguments, "arguments");
    out.given(arguments ? python_json(*arguments) : call.arguments).fixed("}\n</tool_call>");
  }
}

std::vector<Message> with_hermes_tools(const std::vector<Message>& messages, const files::Json& tools) {
  std::vector<Message> out;
  if (!tools.empty() && (messages.empty() || !is_system(messages[0]))) out.push_back({.role = "system"});
  for (const Message& m : messages) {
    Message plain = m;
    if (m.role == "tool") {
      plain = {.role = "user", .content = "<tool_response>\n" + m.content + "\n</tool_response>"};
      // Results of one answer's calls are one turn.
      if (!out.empty() && &m != messages.data() && (&m - 1)->role == "tool") {
        out.back().content += "\n" + plain.content;
        continue;
      }
    } else if (!m.tool_calls.empty()) {
      PromptBuilder calls;
      write_hermes_calls(m, calls);
      plain.content += prompt_text(calls.take());
      plain.tool_calls.clear();
    }
    out.push_back(std::move(plain));
  }
  if (tools.empty()) return out;
  std::string& system = out.front().content;
  if (!system.empty()) system += "\n\n";
  system += kHermesToolsBefore;
  for (const files::Json& tool : tools) system += "\n" + python_json(tool);
  system += kHermesToolsAfter;
  return out;
}

}  // namespace fathom::tokens
