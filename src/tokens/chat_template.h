// Conversations to prompts, byte for byte as each model was trained: native encoders for the formats of the DeepSeek
// family, ChatML and Llama 3, and an interpreter of a Jinja subset for the template inside the file.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "files/json.h"
#include "tokens/tokenizer.h"
#include "tokens/tool_syntax.h"

namespace fathom::tokens {

struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;  // JSON text
};

struct Message {
  std::string role;  // system, developer, user, assistant, tool
  std::string content;
  std::string reasoning;  // an assistant's thoughts, without <think> tags
  std::vector<ToolCall> tool_calls;
  std::string tool_call_id;
  std::string name;
  bool prefix = false;  // the last assistant message is continued instead of closed
};

struct RenderOptions {
  bool generation_prompt = true;
  std::optional<bool> thinking;  // unset: the template's own default
  files::Json tools = files::Json::array();
  files::Json extra = files::Json::object();  // further template variables (chat_template_kwargs)
};

struct Rendered {
  Prompt prompt;
  // The prompt ends inside a thought (it opened <think>): the answer is reasoning until </think>.
  bool opens_thinking = false;
};

class ChatTemplate {
 public:
  // Picks the native encoder that a tokenizer's template and control tokens call for, else the Jinja text itself.
  // Errors: a template that uses a construct outside the subset (named, with its line).
  static base::Result<ChatTemplate> for_tokenizer(const Tokenizer& tokenizer);
  // For a model without a usable template: it can continue texts, and every render fails with `why`.
  static ChatTemplate none(std::string why);
  // Jinja text alone; bos and eos are its variables bos_token and eos_token. The fuzzer's way in.
  static base::Result<ChatTemplate> from_jinja(std::string_view text, std::string_view bos, std::string_view eos);

  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  // Errors: a role or a sequence of roles that the format cannot express, what raise_exception said, limits exceeded.
  base::Result<Rendered> render(const std::vector<Message>& messages, const RenderOptions& options) const;
  std::string_view format() const;  // "deepseek-r1", "chatml", "jinja", ... as `inspect` prints it
  bool can_think() const;           // has a thinking switch or always thinks
  ToolSyntax tool_syntax() const;   // how its answers call tools; kNone: they cannot

 private:
  struct Impl;
  explicit ChatTemplate(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Messages from the OpenAI form of a JSON array (content a string or parts of type text). Errors name the index and
// field.
base::Result<std::vector<Message>> messages_from_json(const files::Json& messages);

}  // namespace fathom::tokens
