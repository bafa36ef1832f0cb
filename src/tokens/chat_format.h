// What the native encoders of chat_template.h share. Each format is one file; which one a tokenizer calls for is
// decided in chat_template.cpp.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "tokens/chat_template.h"

namespace fathom::tokens {

inline constexpr std::array<std::string_view, 5> kRoles = {"system", "developer", "user", "assistant", "tool"};

class ChatFormat {
 public:
  virtual ~ChatFormat() = default;
  virtual std::string_view name() const = 0;
  virtual bool can_think() const = 0;
  virtual ToolSyntax tool_syntax() const { return ToolSyntax::kNone; }
  virtual base::Result<Prompt> render(const std::vector<Message>& messages, const RenderOptions& options) const = 0;
};

// The tokens of a tokenizer that formats write by name.
struct FormatTokens {
  std::string bos, eos;
  bool can_think = false;  // has <think>
};

std::unique_ptr<ChatFormat> make_deepseek_v2(const FormatTokens& tokens);     // "User: ", also V1 LLM chat and Coder V2
std::unique_ptr<ChatFormat> make_deepseek_coder(const FormatTokens& tokens);  // Coder V1: "### Instruction:"
std::unique_ptr<ChatFormat> make_deepseek_v3(const FormatTokens& tokens);
std::unique_ptr<ChatFormat> make_deepseek_r1(const FormatTokens& tokens);   // R1, R1-Zero and every distill
std::unique_ptr<ChatFormat> make_deepseek_v31(const FormatTokens& tokens);  // V3.1 and Terminus
std::unique_ptr<ChatFormat> make_chatml(const FormatTokens& tokens);
std::unique_ptr<ChatFormat> make_llama3(const FormatTokens& tokens);
base::Result<std::unique_ptr<ChatFormat>> make_jinja(std::string_view text, const FormatTokens& tokens);

// Collects pieces; neighbours of equal trust become one.
class PromptBuilder {
 public:
  PromptBuilder& fixed(std::string_view text) { return add(text, true); }   // written by the format
  PromptBuilder& given(std::string_view text) { return add(text, false); }  // from the conversation
  Prompt take() { return std::move(prompt_); }

 private:
  PromptBuilder& add(std::string_view text, bool trusted) {
    if (text.empty()) return *this;
    if (prompt_.empty() || prompt_.back().trusted != trusted) prompt_.push_back({{}, trusted});
    prompt_.back().text += text;
    return *this;
  }
  Prompt prompt_;
};

// Every format takes system, developer (as system), user, assistant and tool, and a prefix at the end only. Errors name
// the message.
base::Result<void> check_messages(std::string_view format, const std::vector<Message>& messages);
bool is_system(const Message& message);
// All system messages, with a blank line between.
std::string joined_system(const std::vector<Message>& messages);

// JSON as Python's json.dumps writes it: ", " and ": ", characters as they are.
std::string python_json(const files::Json& json);
// Tools in the Hermes form, as Qwen writes them: ChatML's, and the way for templates that have none of their own.
inline constexpr std::string_view kHermesToolsBefore =
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function "
    "signatures within <tools></tools> XML tags:\n<tools>";
inline constexpr std::string_view kHermesToolsAfter =
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments within "
    "<tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n"
    "</tool_call>";
void write_hermes_calls(const Message& message, PromptBuilder& out);
// The same conversation for a template without a place for tools: the list stands in the system message, calls and
// results in the text of their turns.
std::vector<Message> with_hermes_tools(const std::vector<Message>& messages, const files::Json& tools);

// What a tool of the OpenAI form says of its function.
struct ToolFunction {
  std::string name, description;
  files::Json parameters;
};
base::Result<std::vector<ToolFunction>> tool_functions(const files::Json& tools);

}  // namespace fathom::tokens
