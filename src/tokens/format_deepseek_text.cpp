// DeepSeek's formats before V3, whose marks are plain words.
#include "tokens/chat_format.h"

namespace fathom::tokens {
namespace {

base::Result<void> refuse_tools(std::string_view format, const std::vector<Message>& messages,
                                const RenderOptions& options) {
  bool used = !options.tools.empty();
  for (const Message& m : messages) used = used || m.role == "tool" || !m.tool_calls.empty();
  if (used) return base::fail("the format {} has no tools: this model was not trained to call any", format);
  return {};
}

class DeepseekV2 : public ChatFormat {
 public:
  explicit DeepseekV2(const FormatTokens& tokens) : tokens_(tokens) {}
  std::string_view name() const override { return "deepseek-v2"; }
  bool can_think() const override { return false; }

  base::Result<Prompt> render(const std::vector<Message>& messages, const RenderOptions& options) const override {
    if (auto checked = check_messages(name(), messages); !checked) return std::unexpected(checked.error());
    if (auto checked = refuse_tools(name(), messages, options); !checked) return std::unexpected(checked.error());
    PromptBuilder out;
    out.fixed(tokens_.bos);
    for (const Message& m : messages) {
      if (m.role == "user") {
        out.fixed("User: ").given(m.content).fixed("\n\n");
      } else if (m.role == "assistant") {
        out.fixed("Assistant: ").given(m.content);
        if (m.prefix) return out.take();
        out.fixed(tokens_.eos);
      } else {
        out.given(m.content).fixed("\n\n");
      }
    }
    // No space behind it: the model writes that itself, and with one here it answers badly.
    if (options.generation_prompt) out.fixed("Assistant:");
    return out.take();
  }

 private:
  const FormatTokens tokens_;
};

constexpr std::string_view kCoderSystem =
    "You are an AI programming assistant, utilizing the Deepseek Coder model, developed by Deepseek Company, and you "
    "only "
    "answer questions related to computer science. For politically sensitive questions, security and privacy issues, "
    "and "
    "other non-computer science questions, you will refuse to answer\n";

class DeepseekCoder : public ChatFormat {
 public:
  explicit DeepseekCoder(const FormatTokens& tokens) : tokens_(tokens) {}
  std::string_view name() const override { return "deepseek-coder"; }
  bool can_think() const override { return false; }

  base::Result<Prompt> render(const std::vector<Message>& messages, const RenderOptions& options) const override {
    if (auto checked = check_messages(name(), messages); !checked) return std::unexpected(checked.error());
    if (auto checked = refuse_tools(name(), messages, options); !checked) return std::unexpected(checked.error());
    PromptBuilder out;
    out.fixed(tokens_.bos);
    bool has_system = false;
    for (const Message& m : messages) has_system = has_system || is_system(m);
    if (!has_system) out.fixed(kCoderSystem);
    for (const Message& m : messages) {
      if (m.role == "user") {
        out.fixed("### Instruction:\n").given(m.content).fixed("\n");
      } else if (m.role == "assistant") {
        out.fixed("### Response:\n").given(m.content);
        if (m.prefix) return out.take();
        out.fixed("\n<|EOT|>\n");
      } else {
        out.given(m.content);
      }
    }
    if (options.generation_prompt) out.fixed("### Response:\n");
    return out.take();
  }

 private:
  const FormatTokens tokens_;
};

}  // namespace

std::unique_ptr<ChatFormat> make_deepseek_v2(const FormatTokens& tokens) {
  return std::make_unique<DeepseekV2>(tokens);
}
std::unique_ptr<ChatFormat> make_deepseek_coder(const FormatTokens& tokens) {
  return std::make_unique<DeepseekCoder>(tokens);
}

}  // namespace fathom::tokens
