// ChatML with tools in the Hermes form, as Qwen writes both. For files without a template of their own.
#include "tokens/chat_format.h"

namespace fathom::tokens {
namespace {

constexpr std::string_view kStart = "<|im_start|>";
constexpr std::string_view kEnd = "<|im_end|>\n";

class ChatMl : public ChatFormat {
 public:
  explicit ChatMl(const FormatTokens& tokens) : tokens_(tokens) {}
  std::string_view name() const override { return "chatml"; }
  bool can_think() const override { return tokens_.can_think; }
  ToolSyntax tool_syntax() const override { return ToolSyntax::kHermes; }

  base::Result<Prompt> render(const std::vector<Message>& messages, const RenderOptions& options) const override {
    if (auto checked = check_messages(name(), messages); !checked) return std::unexpected(checked.error());
    PromptBuilder out;
    std::size_t i = 0;
    if (!options.tools.empty()) {
      const bool has_system = !messages.empty() && is_system(messages[0]);
      write_tools(options.tools, has_system ? messages[0].content : std::string(), out);
      if (has_system) ++i;
    }
    for (; i < messages.size(); ++i) {
      const Message& m = messages[i];
      if (m.role == "tool") {
        const bool first = i == 0 || messages[i - 1].role != "tool";
        const bool last = i + 1 == messages.size() || messages[i + 1].role != "tool";
        if (first) out.fixed(kStart).fixed("user");
        out.fixed("\n<tool_response>\n").given(m.content).fixed("\n</tool_response>");
        if (last) out.fixed(kEnd);
      } else if (m.role == "assistant") {
        write_assistant(m, out);
        if (m.prefix) return out.take();
      } else {
        out.fixed(kStart).fixed(is_system(m) ? "system" : "user").fixed("\n").given(m.content).fixed(kEnd);
      }
    }
    if (!options.generation_prompt) return out.take();
    out.fixed(kStart).fixed("assistant\n");
    // Qwen 3's way of asking for no thought.
    if (tokens_.can_think && options.thinking == false) out.fixed("<think>\n\n</think>\n\n");
    return out.take();
  }

 private:
  static void write_tools(const files::Json& tools, const std::string& system, PromptBuilder& out) {
    out.fixed(kStart).fixed("system\n").given(system);
    if (!system.empty()) out.fixed("\n\n");
    out.fixed(kHermesToolsBefore);
    for (const files::Json& tool : tools) out.fixed("\n").given(python_json(tool));
    out.fixed(kHermesToolsAfter).fixed(kEnd);
  }

  void write_assistant(const Message& m, PromptBuilder& out) const {
    out.fixed(kStart).fixed("assistant\n");
    if (m.prefix && !m.reasoning.empty() && tokens_.can_think) {
      out.fixed("<think>\n").given(m.reasoning);
      if (!m.content.empty()) out.fixed("\n</think>\n\n");
    }
    out.given(m.content);
    if (m.prefix) return;
    write_hermes_calls(m, out);
    out.fixed(kEnd);
  }

  const FormatTokens tokens_;
};

}  // namespace

std::unique_ptr<ChatFormat> make_chatml(const FormatTokens& tokens) {
  return std::make_unique<ChatMl>(tokens);
}

}  // namespace fathom::tokens
