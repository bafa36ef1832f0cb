// The template inside the file, run by the interpreter with the variables that transformers gives it. Strings of the
// conversation are untrusted, so that a person's text cannot pass for the template's.
#include <algorithm>

#include "tokens/chat_format.h"
#include "tokens/jinja/interpreter.h"

namespace fathom::tokens {
namespace {

using jinja::Text;
using jinja::Value;

enum class ArgumentsAs { kObjects, kStrings };

class JinjaFormat : public ChatFormat {
 public:
  JinjaFormat(jinja::Template parsed, std::string_view text, const FormatTokens& tokens)
      : template_(std::move(parsed)),
        tokens_(tokens),
        thinks_(text.find("<think>") != text.npos || text.find("enable_thinking") != text.npos),
        knows_developer_(text.find("developer") != text.npos),
        knows_tools_(text.find("tools") != text.npos),
        knows_calls_(text.find("tool_calls") != text.npos),
        tool_syntax_(knows_tools_ || knows_calls_ ? syntax_in(text) : ToolSyntax::kHermes) {}

  std::string_view name() const override { return "jinja"; }
  bool can_think() const override { return thinks_; }
  ToolSyntax tool_syntax() const override { return tool_syntax_; }

  base::Result<Prompt> render(const std::vector<Message>& messages, const RenderOptions& options) const override {
    const bool tool_turns =
        std::ranges::any_of(messages, [](const Message& m) { return !m.tool_calls.empty() || m.role == "tool"; });
    if (!knows_tools_ && knows_calls_ && !options.tools.empty())
      return base::fail("the model's chat template writes calls of tools, but has no place for the list of them");
    if (!knows_tools_ && !knows_calls_ && (tool_turns || !options.tools.empty())) {
      RenderOptions without = options;
      without.tools = files::Json::array();
      return render_own(with_hermes_tools(messages, options.tools), without);
    }
    return render_own(messages, options);
  }

 private:
  // The markup that a template with tools shows its model.
  static ToolSyntax syntax_in(std::string_view text) {
    const auto has = [&](std::string_view part) { return text.find(part) != text.npos; };
    if (has("<｜tool▁call▁begin｜>")) return has("```json") ? ToolSyntax::kDeepseekV3 : ToolSyntax::kDeepseekV31;
    if (has("<tool_call>") && !has("<function=")) return ToolSyntax::kHermes;
    if (has("<|start_header_id|>") && has("\"parameters\": ")) return ToolSyntax::kLlama3;
    return ToolSyntax::kNone;
  }

  base::Result<Prompt> render_own(const std::vector<Message>& messages, const RenderOptions& options) const {
    if (!messages.empty() && messages.back().prefix) return render_prefix(messages, options);
    auto text = render_text(messages, options);
    if (!text) return std::unexpected(text.error());
    return pieces_of(*text);
  }

  // Templates take a call's arguments as an object, as transformers documents it; some only as a string.
  base::Result<Text> render_text(const std::vector<Message>& messages, const RenderOptions& options) const {
    auto text = render_with(messages, options, ArgumentsAs::kObjects);
    const bool has_calls = std::ranges::any_of(messages, [](const Message& m) { return !m.tool_calls.empty(); });
    if (text || !has_calls) return text;
    auto again = render_with(messages, options, ArgumentsAs::kStrings);
    return again ? std::move(again) : std::move(text);
  }

  base::Result<Text> render_with(const std::vector<Message>& messages, const RenderOptions& options,
                                 ArgumentsAs as) const {
    // What the template makes on its way may be a good deal longer than the conversation.
    constexpr std::int64_t free_bytes = std::int64_t{64} << 20, factor = 64;
    std::int64_t given = 0;
    for (const Message& m : messages) given += static_cast<std::int64_t>(m.content.size());
    jinja::Limits limits;
    limits.bytes = free_bytes + factor * given;
    jinja::Machine machine(limits);
    std::vector<Value> list;
    for (const Message& m : messages) list.push_back(message_value(m, as, machine.heap));
    std::vector<std::pair<std::string, Value>> variables = {
        {"messages", machine.heap.list(std::move(list))},
        {"tools", options.tools.empty() ? Value(jinja::None{}) : jinja::from_json(options.tools, machine.heap)},
        {"documents", jinja::None{}},
        {"add_generation_prompt", options.generation_prompt},
        {"bos_token", Text(tokens_.bos, true)},
        {"eos_token", Text(tokens_.eos, true)},
    };
    if (options.thinking) {
      variables.emplace_back("thinking", *options.thinking);
      variables.emplace_back("enable_thinking", *options.thinking);
    }
    for (const auto& [name, value] : options.extra.items())
      variables.emplace_back(name, jinja::from_json(value, machine.heap));
    return template_.render(machine, std::move(variables));
  }

  Value message_value(const Message& m, ArgumentsAs as, jinja::Heap& heap) const {
    jinja::Dict* dict = heap.dict();
    const auto set = [&](std::string_view name, Value value) { dict->set(Text(name, true), std::move(value)); };
    const std::string_view role = m.role == "developer" && !knows_developer_ ? "system" : std::string_view(m.role);
    // Known roles may be part of a control token (<|user|>), so they count as the template's own words.
    set("role", Text(role, std::ranges::find(kRoles, role) != kRoles.end()));
    set("content", Text(m.content, false));
    if (!m.reasoning.empty()) set("reasoning_content", Text(m.reasoning, false));
    if (!m.tool_calls.empty()) {
      std::vector<Value> calls;
      for (const ToolCall& call : m.tool_calls) calls.push_back(call_value(call, as, heap));
      set("tool_calls", heap.list(std::move(calls)));
    }
    if (!m.tool_call_id.empty()) set("tool_call_id", Text(m.tool_call_id, false));
    if (!m.name.empty()) set("name", Text(m.name, false));
    if (m.prefix) set("prefix", true);
    return dict;
  }

  static Value call_value(const ToolCall& call, ArgumentsAs as, jinja::Heap& heap) {
    jinja::Dict* function = heap.dict();
    function->set(Text("name", true), Text(call.name, false));
    Value arguments = Text(call.arguments, false);
    if (as == ArgumentsAs::kObjects) {
      const auto parsed = files::parse_json(call.arguments.empty() ? "{}" : call.arguments, "arguments");
      if (parsed && parsed->is_object()) arguments = jinja::from_json(*parsed, heap);
    }
    function->set(Text("arguments", true), std::move(arguments));
    jinja::Dict* dict = heap.dict();
    if (!call.id.empty()) dict->set(Text("id", true), Text(call.id, false));
    dict->set(Text("type", true), Text("function", true));
    dict->set(Text("function", true), function);
    return dict;
  }

  // The last answer is continued: what the template writes behind its text is cut off.
  base::Result<Prompt> render_prefix(const std::vector<Message>& messages, const RenderOptions& options) const {
    const Message& last = messages.back();
    RenderOptions closed = options;
    if (last.content.empty()) return render_opening(messages, options);
    closed.generation_prompt = false;
    auto text = render_text(messages, closed);
    if (!text) return std::unexpected(text.error());
    const std::string stripped = jinja::strip(Text(last.content, false), jinja::Side::kBoth).bytes;
    for (const std::string& wanted : {last.content, stripped}) {
      const std::size_t at = wanted.empty() ? std::string::npos : text->bytes.rfind(wanted);
      if (at == std::string::npos || text->trust.find(Text::kTrusted, at) < at + wanted.size()) continue;
      return pieces_of(text->part(0, at + wanted.size()));
    }
    return base::fail("the chat template does not write the last message whole, so it cannot be continued");
  }

  // An answer of which only the thought was begun, or nothing.
  base::Result<Prompt> render_opening(const std::vector<Message>& messages, const RenderOptions& options) const {
    RenderOptions opening = options;
    opening.generation_prompt = true;
    auto text = render_text({messages.begin(), messages.end() - 1}, opening);
    if (!text) return std::unexpected(text.error());
    const std::string& reasoning = messages.back().reasoning;
    if (!reasoning.empty()) {
      const Text written = jinja::strip(*text, jinja::Side::kRight);
      if (!written.bytes.ends_with("<think>")) text->append("<think>\n", true);
      text->append(reasoning, false);
    }
    return pieces_of(*text);
  }

  static Prompt pieces_of(const Text& text) {
    Prompt prompt;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.trust.find_first_not_of(text.trust[at], at), text.size());
      prompt.push_back({text.bytes.substr(at, end - at), text.trust[at] == Text::kTrusted});
      at = end;
    }
    return prompt;
  }

  const jinja::Template template_;
  const FormatTokens tokens_;
  const bool thinks_;
  const bool knows_developer_;
  const bool knows_tools_, knows_calls_;
  const ToolSyntax tool_syntax_;
};

}  // namespace

base::Result<std::unique_ptr<ChatFormat>> make_jinja(std::string_view text, const FormatTokens& tokens) {
  auto parsed = jinja::Template::parse(text);
  if (!parsed) return base::fail("chat template: {}", jinja::one_line(parsed.error().message));
  return std::make_unique<JinjaFormat>(std::move(*parsed), text, tokens);
}

}  // namespace fathom::tokens
