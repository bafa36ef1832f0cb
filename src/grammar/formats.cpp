// The compiler's descriptions. Between the parts of JSON a model may put white space, but not for ever: a weak one
// would.
#include "grammar/formats.h"

#include <algorithm>

#include "grammar/json_schema.h"

namespace fathom::grammar {
namespace {

using base::fail;
using base::Result;
using files::Json;

constexpr int kMostSpace = 24;  // in one place: a line end and the indentation of a deep value
constexpr std::size_t kMostEbnfBytes = std::size_t{64} << 10, kDeepestEbnf = 100;

Json schema_part(Json schema) {
  return {{"type", "json_schema"}, {"json_schema", std::move(schema)}, {"max_whitespace_cnt", kMostSpace}};
}

Json text_part(std::string_view text) {
  return {{"type", "const_string"}, {"value", text}};
}

Json sequence(Json parts) {
  std::erase_if(parts.get_ref<Json::array_t&>(), [](const Json& part) {
    return part["type"] == "const_string" && part["value"].get_ref<const std::string&>().empty();
  });
  return {{"type", "sequence"}, {"elements", std::move(parts)}};
}

Result<Json> arguments_of(const Tool& tool) {
  auto schema = supported_schema(tool.parameters, fmt::format("the parameters of {}", tool.name));
  if (schema && schema->value("type", Json()) == "object") return schema;
  if (schema && !tool.strict) return Json{{"type", "object"}};
  if (schema) return fail("the parameters of {}: expected a schema of type object", tool.name);
  if (tool.strict) return schema;
  return Json{{"type", "object"}, {"additionalProperties", true}};
}

}  // namespace

Format json_object() {
  return schema_part({{"type", "object"}, {"additionalProperties", true}});
}

Result<Format> json_schema(const Json& schema, std::string_view name) {
  auto supported = supported_schema(schema, name);
  if (!supported) return supported;
  return schema_part(std::move(*supported));
}

Result<Format> regex(std::string_view pattern) {
  if (auto checked = check_regex(pattern, "regex"); !checked) return std::unexpected(checked.error());
  return Json{{"type", "regex"}, {"pattern", pattern}};
}

Result<Format> ebnf(std::string_view text) {
  if (text.size() > kMostEbnfBytes)
    return fail("grammar: expected at most {} bytes, found {}", kMostEbnfBytes, text.size());
  std::size_t depth = 0;
  for (const char c : text) {
    if (c == '(') ++depth;
    if (c == ')' && depth > 0) --depth;
    if (depth > kDeepestEbnf) return fail("grammar: brackets are nested deeper than {}", kDeepestEbnf);
  }
  return Json{{"type", "grammar"}, {"grammar", text}};
}

Result<Format> choice(const std::vector<std::string>& texts) {
  if (texts.empty()) return fail("choice: expected at least one text");
  Json options = Json::array();
  for (const std::string& text : texts) options.push_back(text_part(text));
  return Json{{"type", "or"}, {"elements", std::move(options)}};
}

Result<Format> tool_calls(const ToolCalls& calls) {
  const tokens::ToolMarkup& markup = tokens::tool_markup(calls.syntax);
  const bool several = calls.several && markup.several;
  Json tags = Json::array();
  for (const Tool& tool : calls.tools) {
    auto arguments = arguments_of(tool);
    if (!arguments) return arguments;
    std::string begin(markup.call_begin);
    begin += tool.name;
    begin += markup.before_arguments;
    tags.push_back(
        {{"type", "tag"}, {"begin", begin}, {"content", schema_part(std::move(*arguments))}, {"end", markup.call_end}});
  }
  Json list = {{"type", "tags_with_separator"},
               {"tags", tags},
               {"separator", markup.separator},
               {"at_least_one", true},
               {"stop_after_first", !several}};
  if (calls.required) return sequence(Json::array({text_part(markup.calls_begin), list, text_part(markup.calls_end)}));
  // Any text, until the markup begins: from there on it is a call.
  const bool wrapped = !markup.calls_begin.empty();
  if (wrapped)
    tags = Json::array(
        {Json{{"type", "tag"}, {"begin", markup.calls_begin}, {"content", list}, {"end", markup.calls_end}}});
  return Json{{"type", "triggered_tags"},
              {"triggers", Json::array({markup.trigger()})},
              {"tags", std::move(tags)},
              {"at_least_one", false},
              {"stop_after_first", wrapped || !several}};
}

Format after_thought(Format format) {
  return sequence(Json::array({Json{{"type", "regex"}, {"pattern", "\\n{0,2}"}}, std::move(format)}));
}

}  // namespace fathom::grammar
