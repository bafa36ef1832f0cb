// Reads the fields into one format, and has it compiled for the model.
#include "server/answer_form.h"

#include <algorithm>
#include <set>

namespace fathom::server {

namespace {

using files::Json;
using grammar::Format;

constexpr std::int64_t kMaxReasoningTokens = 10'000'000;
// Words for an effort that OpenAI's clients send to every model, in tokens of thought; from "high" on there is no
// bound.
constexpr std::pair<std::string_view, int> kEffortTokens[] = {{"minimal", 512}, {"low", 2048}, {"medium", 8192}};

ApiError bad(std::string param, std::string_view message, std::string code = "invalid_value") {
  std::string text = fmt::format("{}: {}", param, message);
  return {.status = 400, .message = std::move(text), .param = std::move(param), .code = std::move(code)};
}

// The one format that the answer's text is held to, if any.
class FormatReader {
 public:
  explicit FormatReader(FieldReader& fields) : fields_(fields) {}

  std::optional<Format> read() {
    read_response_format();
    if (const Json* schema = fields_.value("guided_json"))
      take("guided_json", grammar::json_schema(*schema, "guided_json"));
    if (const auto pattern = fields_.text("guided_regex")) take("guided_regex", grammar::regex(*pattern));
    for (const char* name : {"guided_grammar", "grammar"})
      if (const auto text = fields_.text(name)) take(name, grammar::ebnf(*text));
    if (const Json* choices = fields_.array("guided_choice")) {
      std::vector<std::string> texts;
      for (const Json& choice : *choices) {
        if (!choice.is_string() || choice.get_ref<const std::string&>().empty())
          return fields_.refuse("guided_choice", "expected a list of texts that are not empty"), std::nullopt;
        texts.push_back(choice.get<std::string>());
      }
      take("guided_choice", grammar::choice(texts));
    }
    return std::move(format_);
  }
  const std::string& param() const { return param_; }

 private:
  void read_response_format() {
    const Json* field = fields_.object("response_format");
    if (field == nullptr) return;
    const Json type = field->value("type", Json());
    if (type == "text") return;
    if (type == "json_object") return take("response_format", grammar::json_object());
    if (type != "json_schema")
      return fields_.refuse(bad("response_format", "type: expected \"text\", \"json_object\" or \"json_schema\""));
    const Json outer = field->value("json_schema", Json());
    if (!outer.is_object() || !outer.contains("schema"))
      return fields_.refuse(bad("response_format", "json_schema: expected an object with a schema in it"));
    take("response_format", grammar::json_schema(outer["schema"], "schema"));
  }

  void take(std::string param, base::Result<Format> format) {
    if (!format) return fields_.refuse(bad(std::move(param), format.error().message, "unsupported_schema"));
    if (format_) return fields_.refuse(bad(std::move(param), fmt::format("cannot stand beside {}", param_)));
    format_ = std::move(*format);
    param_ = std::move(param);
  }

  FieldReader& fields_;
  std::optional<Format> format_;
  std::string param_;
};

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

ApiResult<std::vector<grammar::Tool>> read_tools(const Json& list) {
  if (list.size() > kMaxTools)
    return std::unexpected(bad("tools", fmt::format("expected at most {}, found {}", kMaxTools, list.size())));
  std::vector<grammar::Tool> tools;
  std::set<std::string> names;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string at = fmt::format("tools[{}]", i);
    const Json& tool = list[i];
    if (!tool.is_object() || tool.value("type", Json()) != "function" || !tool.value("function", Json()).is_object())
      return std::unexpected(bad(at, "expected an object with type \"function\" and a function"));
    FieldReader fields(tool["function"]);
    const auto name = fields.text("name");
    const bool strict = fields.boolean("strict").value_or(false);
    const Json* parameters = fields.object("parameters");
    if (fields.error()) return std::unexpected(bad(at + ".function", fields.error()->message));
    if (!name || !is_name(*name))
      return std::unexpected(bad(at + ".function.name", "expected 1 to 64 letters, digits, _ and -"));
    if (!names.insert(*name).second)
      return std::unexpected(bad(at + ".function.name", fmt::format("\"{}\" is there twice", *name)));
    const Json none = {{"type", "object"}, {"properties", Json::object()}, {"additionalProperties", false}};
    tools.push_back({.name = *name, .parameters = parameters == nullptr ? none : *parameters, .strict = strict});
  }
  return tools;
}

// kNamed: one call of the one tool that is left.
enum class Choice { kNone, kAuto, kRequired, kNamed };

// Reads tool_choice; a tool that it names becomes the only one.
ApiResult<Choice> read_choice(FieldReader& fields, std::vector<grammar::Tool>& tools) {
  const Json* choice = fields.value("tool_choice");
  if (choice == nullptr || *choice == "auto") return tools.empty() ? Choice::kNone : Choice::kAuto;
  if (*choice == "none") return Choice::kNone;
  if (*choice == "required") {
    if (tools.empty()) return std::unexpected(bad("tool_choice", "\"required\" needs tools to choose from"));
    return Choice::kRequired;
  }
  if (!choice->is_object() || choice->value("type", Json()) != "function" ||
      !choice->value("function", Json()).is_object())
    return std::unexpected(bad("tool_choice", "expected \"none\", \"auto\", \"required\" or a function by its name"));
  const Json name = (*choice)["function"].value("name", Json());
  std::erase_if(tools, [&](const grammar::Tool& tool) { return name != tool.name; });
  if (tools.empty()) return std::unexpected(bad("tool_choice", "names a function that is not among the tools"));
  return Choice::kNamed;
}

// The format of an answer that may call tools; `text`: what it is held to where it does not.
ApiResult<std::optional<Format>> read_tool_format(FieldReader& fields, const engine::LoadedModel& model,
                                                  std::optional<Format> text, AnswerForm& form) {
  const Json* functions = fields.array("functions");
  if (functions != nullptr && !functions->empty())
    return std::unexpected(bad("functions", "the old form is not supported; use tools", "unsupported"));
  const Json* list = fields.array("tools");
  const bool several = fields.boolean("parallel_tool_calls").value_or(true);
  if (fields.error()) return std::unexpected(*fields.error());
  auto tools = read_tools(list == nullptr ? Json::array() : *list);
  if (!tools) return std::unexpected(tools.error());
  const auto choice = read_choice(fields, *tools);
  if (!choice) return std::unexpected(choice.error());
  if (*choice == Choice::kNone) return text;

  form.tools = *list;
  form.tool_syntax = model.chat_template().tool_syntax();
  if (form.tool_syntax == tokens::ToolSyntax::kNone)
    return std::unexpected(
        bad("tools", fmt::format("the chat template of {} has no form of tool calls that is known here", model.name()),
            "unsupported"));
  const bool must_call = *choice == Choice::kRequired || *choice == Choice::kNamed;
  auto calls = grammar::tool_calls({.syntax = form.tool_syntax,
                                    .tools = std::move(*tools),
                                    .required = must_call || text.has_value(),
                                    .several = several && *choice != Choice::kNamed});
  if (!calls) return std::unexpected(bad("tools", calls.error().message, "unsupported_schema"));
  if (must_call || !text) return std::optional<Format>(std::move(*calls));
  return std::optional<Format>(Json{{"type", "or"}, {"elements", Json::array({std::move(*calls), std::move(*text)})}});
}

// Tokens that the thought may have; -1: no bound. The most exact of the fields counts.
int read_budget(FieldReader& fields) {
  int budget = -1;
  if (const auto effort = fields.text("reasoning_effort"))
    for (const auto& [name, size] : kEffortTokens)
      if (*effort == name) budget = size;
  if (const Json* thinking = fields.object("thinking")) {
    FieldReader inner(*thinking);
    if (const auto size = inner.integer("budget_tokens", 0, kMaxReasoningTokens)) budget = static_cast<int>(*size);
    if (inner.error())
      fields.refuse("thinking.budget_tokens", fmt::format("expected an integer from 0 to {}", kMaxReasoningTokens));
  }
  if (const auto size = fields.integer("max_reasoning_tokens", 0, kMaxReasoningTokens))
    budget = static_cast<int>(*size);
  return budget;
}

}  // namespace

ApiResult<AnswerForm> read_answer_form(const Json& body, const engine::LoadedModel& model, std::optional<bool> thinking,
                                       int max_tokens) {
  AnswerForm form;
  FieldReader fields(body);
  FormatReader reader(fields);
  auto text = reader.read();
  if (fields.error()) return std::unexpected(*fields.error());
  auto format = read_tool_format(fields, model, std::move(text), form);
  if (!format) return std::unexpected(format.error());
  form.bounds.max_reasoning_tokens = read_budget(fields);
  if (fields.error()) return std::unexpected(*fields.error());

  form.bounds.may_think = model.chat_template().can_think() && thinking.value_or(true);
  // A budget that the answer's own limit ends before bounds nothing.
  const bool idle = max_tokens >= 0 && form.bounds.max_reasoning_tokens >= max_tokens;
  if (!form.bounds.may_think || idle) form.bounds.max_reasoning_tokens = -1;
  if (form.bounds.may_think && (*format || form.bounds.bounded()) && !model.tokenizer().find("</think>"))
    return std::unexpected(bad(*format ? "response_format" : "thinking",
                               "this model has no token that ends a thought; ask with thinking disabled",
                               "unsupported"));
  if (!*format) return form;
  const bool calls = form.tool_syntax != tokens::ToolSyntax::kNone;
  auto compiled =
      model.grammars().compile(form.bounds.may_think ? grammar::after_thought(std::move(**format)) : **format, calls);
  if (!compiled)
    return std::unexpected(bad(calls ? "tools" : reader.param(), compiled.error().message, "unsupported_schema"));
  form.bounds.grammar = std::move(*compiled);
  return form;
}

}  // namespace fathom::server
