// Llama 3's turns. For files without a template of their own.
#include "tokens/chat_format.h"
#include "tokens/jinja/text.h"

namespace fathom::tokens {
namespace {

class Llama3 : public ChatFormat {
 public:
  explicit Llama3(const FormatTokens& tokens) : tokens_(tokens) {}
  std::string_view name() const override { return "llama3"; }
  bool can_think() const override { return false; }

  base::Result<Prompt> render(const std::vector<Message>& messages, const RenderOptions& options) const override {
    if (auto checked = check_messages(name(), messages); !checked) return std::unexpected(checked.error());
    PromptBuilder out;
    out.fixed(tokens_.bos);
    for (const Message& m : messages) {
      if (m.role == "tool" || !m.tool_calls.empty())
        return base::fail("the format llama3 has no tools without the model's own template");
      const std::string content = jinja::strip(jinja::Text(m.content, false), jinja::Side::kBoth).bytes;
      write_header(is_system(m) ? "system" : m.role, out);
      if (m.prefix) return out.given(m.content).take();
      out.given(content).fixed("<|eot_id|>");
    }
    if (!options.tools.empty()) return base::fail("the format llama3 has no tools without the model's own template");
    if (options.generation_prompt) write_header("assistant", out);
    return out.take();
  }

 private:
  static void write_header(std::string_view role, PromptBuilder& out) {
    out.fixed("<|start_header_id|>").fixed(role).fixed("<|end_header_id|>\n\n");
  }

  const FormatTokens tokens_;
};

}  // namespace

std::unique_ptr<ChatFormat> make_llama3(const FormatTokens& tokens) {
  return std::make_unique<Llama3>(tokens);
}

}  // namespace fathom::tokens
