// DeepSeek V3, R1 (with every distill) and V3.1: control tokens mark the turns, with nothing between. V3 and R1 write a
// tool call as a fenced block, V3.1 bare; the shipped V3 template forgets to close a single call, which is put right
// here.
#include <algorithm>

#include "tokens/chat_format.h"
#include "tokens/think_tags.h"

namespace fathom::tokens {
namespace {

constexpr std::string_view kUser = "<｜User｜>";
constexpr std::string_view kAssistant = "<｜Assistant｜>";
constexpr std::string_view kCallsBegin = "<｜tool▁calls▁begin｜>";
constexpr std::string_view kCallsEnd = "<｜tool▁calls▁end｜>";
constexpr std::string_view kCallBegin = "<｜tool▁call▁begin｜>";
constexpr std::string_view kCallEnd = "<｜tool▁call▁end｜>";
constexpr std::string_view kSeparator = "<｜tool▁sep｜>";
constexpr std::string_view kOutputsBegin = "<｜tool▁outputs▁begin｜>";
constexpr std::string_view kOutputsEnd = "<｜tool▁outputs▁end｜>";
constexpr std::string_view kOutputBegin = "<｜tool▁output▁begin｜>";
constexpr std::string_view kOutputEnd = "<｜tool▁output▁end｜>";

enum class Generation { kV3, kR1, kV31 };

// DeepSeek never published words for tools with V3 and R1; these are what servers of the models use.
constexpr std::string_view kV3ToolsBefore =
    "\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with "
    "function "
    "signatures within <tools></tools> XML tags:\n<tools>";
constexpr std::string_view kV3ToolsAfter =
    "\n</tools>\n\nFor function call returns, you should first print <｜tool▁calls▁begin｜>\nFor each function call, "
    "you "
    "should return object like:\n<｜tool▁call▁begin｜>function<｜tool▁sep｜><function_name>\n```json\n"
    "<function_arguments_in_json_format>\n```<｜tool▁call▁end｜>\nAt the end of function call returns, you should "
    "print "
    "<｜tool▁calls▁end｜><｜end▁of▁sentence｜>";

// From V3.1's model card.
constexpr std::string_view kV31ToolsBefore = "## Tools\nYou have access to the following tools:\n\n";
constexpr std::string_view kV31ToolsAfter =
    "IMPORTANT: ALWAYS adhere to this exact format for tool use:\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>"
    "tool_call_name<｜tool▁sep｜>tool_call_arguments<｜tool▁call▁end｜>{additional_tool_calls}<｜tool▁calls▁end｜>\n\n"
    "Where:\n- `tool_call_name` must be an exact match to one of the available tools\n- `tool_call_arguments` must be "
    "valid "
    "JSON that strictly follows the tool's Parameters Schema\n- For multiple tool calls, chain them directly without "
    "separators or spaces";

class Deepseek : public ChatFormat {
 public:
  Deepseek(Generation generation, const FormatTokens& tokens) : generation_(generation), tokens_(tokens) {}

  std::string_view name() const override {
    switch (generation_) {
      case Generation::kV3:
        return "deepseek-v3";
      case Generation::kR1:
        return "deepseek-r1";
      case Generation::kV31:
        return "deepseek-v3.1";
    }
    return {};
  }
  bool can_think() const override { return generation_ != Generation::kV3; }
  ToolSyntax tool_syntax() const override {
    return generation_ == Generation::kV31 ? ToolSyntax::kDeepseekV31 : ToolSyntax::kDeepseekV3;
  }

  base::Result<Prompt> render(const std::vector<Message>& messages, const RenderOptions& options) const override {
    if (auto checked = check_messages(name(), messages); !checked) return std::unexpected(checked.error());
    PromptBuilder out;
    out.fixed(tokens_.bos).given(joined_system(messages));
    if (!options.tools.empty()) {
      if (auto written = write_tools(options.tools, !joined_system(messages).empty(), out); !written) {
        return std::unexpected(written.error());
      }
    }
    std::string_view before = "system";  // the role of the last turn
    bool open = false;
    for (std::size_t i = 0; i < messages.size(); ++i) {
      const Message& m = messages[i];
      if (is_system(m)) continue;
      if (m.role == "user") {
        out.fixed(kUser).given(m.content);
      } else if (m.role == "tool") {
        write_result(m, before == "tool", ends_results(messages, i), out);
      } else {
        write_assistant(m, before, options, out);
        open = m.prefix;
      }
      before = m.role;
    }
    if (!options.generation_prompt || open || before == "tool") return out.take();
    if (before != "user" && generation_ == Generation::kV31) return out.take();
    write_opening(options, out);
    return out.take();
  }

 private:
  bool thinks(const RenderOptions& options) const {
    if (generation_ == Generation::kV31) return options.thinking.value_or(false);
    return generation_ == Generation::kR1 && options.thinking.value_or(true);
  }

  // What an answer starts with.
  void write_opening(const RenderOptions& options, PromptBuilder& out) const {
    out.fixed(kAssistant);
    if (generation_ == Generation::kV31) out.fixed(thinks(options) ? kThink : kThinkEnd);
    if (generation_ != Generation::kR1) return;
    // R1 always thinks; where the caller wants none, the thought is given to it, empty.
    out.fixed(kThink).fixed("\n");
    if (!thinks(options)) out.fixed("\n").fixed(kThinkEnd).fixed("\n\n");
  }

  void write_assistant(const Message& m, std::string_view before, const RenderOptions& options,
                       PromptBuilder& out) const {
    if (m.prefix) return write_prefix(m, before, options, out);
    // After the results of tools the answer goes on in the same turn.
    const bool continues = before == "tool";
    if (!continues) out.fixed(kAssistant);
    if (generation_ == Generation::kV31 && !continues) out.fixed(kThinkEnd);
    out.given(without_thought(m.content, continues));
    if (!m.tool_calls.empty()) write_calls(m, out);
    out.fixed(tokens_.eos);
  }

  // An answer that the caller began. Its thought is open while nothing of the answer itself is there.
  void write_prefix(const Message& m, std::string_view before, const RenderOptions& options, PromptBuilder& out) const {
    if (m.reasoning.empty() && m.content.empty()) return write_opening(options, out);
    if (before != "tool") out.fixed(kAssistant);
    if (!m.reasoning.empty() && can_think()) {
      const std::string_view gap = generation_ == Generation::kR1 ? "\n" : "";
      out.fixed(kThink).fixed(gap).given(m.reasoning);
      if (m.content.empty()) return;
      out.fixed(gap).fixed(kThinkEnd).fixed(gap).fixed(gap);
    } else if (generation_ == Generation::kV31 && before != "tool") {
      out.fixed(kThinkEnd);
    }
    out.given(m.content);
  }

  // Earlier answers are shown without their thoughts, which a client may have left in the text.
  std::string_view without_thought(std::string_view content, bool continues) const {
    if (generation_ == Generation::kV3 || continues) return content;
    const std::size_t end = generation_ == Generation::kR1 ? content.rfind(kThinkEnd) : content.find(kThinkEnd);
    return end == content.npos ? content : content.substr(end + kThinkEnd.size());
  }

  void write_calls(const Message& m, PromptBuilder& out) const {
    out.fixed(kCallsBegin);
    bool first = true;
    for (const ToolCall& call : m.tool_calls) {
      if (generation_ == Generation::kV31) {
        out.fixed(kCallBegin).given(call.name).fixed(kSeparator).given(call.arguments).fixed(kCallEnd);
        continue;
      }
      if (!std::exchange(first, false)) out.fixed("\n");
      out.fixed(kCallBegin).fixed("function").fixed(kSeparator).given(call.name);
      out.fixed("\n```json\n").given(call.arguments).fixed("\n```").fixed(kCallEnd);
    }
    out.fixed(kCallsEnd);
  }

  static bool ends_results(const std::vector<Message>& messages, std::size_t i) {
    for (++i; i < messages.size(); ++i) {
      if (!is_system(messages[i])) return messages[i].role != "tool";
    }
    return true;
  }

  void write_result(const Message& m, bool continues, bool last, PromptBuilder& out) const {
    const bool wrapped = generation_ != Generation::kV31;
    if (wrapped) out.fixed(continues ? "\n" : kOutputsBegin);
    out.fixed(kOutputBegin).given(m.content).fixed(kOutputEnd);
    if (wrapped && last) out.fixed(kOutputsEnd);
  }

  base::Result<void> write_tools(const files::Json& tools, bool after_system, PromptBuilder& out) const {
    if (generation_ != Generation::kV31) {
      out.fixed(after_system ? kV3ToolsBefore : kV3ToolsBefore.substr(2));
      for (const files::Json& tool : tools) out.fixed("\n").given(python_json(tool));
      out.fixed(kV3ToolsAfter);
      return {};
    }
    const auto functions = tool_functions(tools);
    if (!functions) return std::unexpected(functions.error());
    out.fixed("\n\n").fixed(kV31ToolsBefore);
    for (const ToolFunction& f : *functions) {
      out.fixed("### ").given(f.name).fixed("\nDescription: ").given(f.description);
      out.fixed("\n\nParameters: ").given(python_json(f.parameters)).fixed("\n\n");
    }
    out.fixed(kV31ToolsAfter);
    return {};
  }

  const Generation generation_;
  const FormatTokens tokens_;
};

}  // namespace

std::unique_ptr<ChatFormat> make_deepseek_v3(const FormatTokens& tokens) {
  return std::make_unique<Deepseek>(Generation::kV3, tokens);
}
std::unique_ptr<ChatFormat> make_deepseek_r1(const FormatTokens& tokens) {
  return std::make_unique<Deepseek>(Generation::kR1, tokens);
}
std::unique_ptr<ChatFormat> make_deepseek_v31(const FormatTokens& tokens) {
  return std::make_unique<Deepseek>(Generation::kV31, tokens);
}

}  // namespace fathom::tokens
