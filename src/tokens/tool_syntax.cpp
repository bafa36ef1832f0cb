// DeepSeek V3 and R1 (R1-0528 included), V3.1, Hermes as Qwen has it, Llama 3.1.
#include "tokens/tool_syntax.h"

#include <array>

namespace fathom::tokens {
namespace {

constexpr ToolMarkup kDeepseekV3 = {
    .calls_begin = "<｜tool▁calls▁begin｜>",
    .call_begin = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
    .before_arguments = "\n```json\n",
    .call_end = "\n```<｜tool▁call▁end｜>",
    .separator = "\n",
    .calls_end = "<｜tool▁calls▁end｜>",
};
constexpr ToolMarkup kDeepseekV31 = {
    .calls_begin = "<｜tool▁calls▁begin｜>",
    .call_begin = "<｜tool▁call▁begin｜>",
    .before_arguments = "<｜tool▁sep｜>",
    .call_end = "<｜tool▁call▁end｜>",
    .separator = "",
    .calls_end = "<｜tool▁calls▁end｜>",
};
constexpr ToolMarkup kHermes = {
    .calls_begin = "",
    .call_begin = "<tool_call>\n{\"name\": \"",
    .before_arguments = "\", \"arguments\": ",
    .call_end = "}\n</tool_call>",
    .separator = "\n",
    .calls_end = "",
};
constexpr ToolMarkup kLlama3 = {
    .calls_begin = "",
    .call_begin = "{\"name\": \"",
    .before_arguments = "\", \"parameters\": ",
    .call_end = "}",
    .separator = "",
    .calls_end = "",
    .several = false,
};

}  // namespace

const ToolMarkup& tool_markup(ToolSyntax syntax) {
  FATHOM_CHECK(syntax != ToolSyntax::kNone);
  switch (syntax) {
    case ToolSyntax::kDeepseekV3:
      return kDeepseekV3;
    case ToolSyntax::kDeepseekV31:
      return kDeepseekV31;
    case ToolSyntax::kLlama3:
      return kLlama3;
    default:
      return kHermes;
  }
}

std::vector<TokenId> tool_tokens(const Tokenizer& tokenizer, ToolSyntax syntax) {
  std::vector<TokenId> ids;
  if (syntax == ToolSyntax::kNone) return ids;
  const ToolMarkup& markup = tool_markup(syntax);
  for (const std::string_view name : {"<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>",
                                      "<｜tool▁call▁end｜>", "<｜tool▁sep｜>", "<tool_call>", "</tool_call>"}) {
    bool used = false;
    for (const std::string_view part : {markup.calls_begin, markup.call_begin, markup.before_arguments, markup.call_end,
                                        markup.separator, markup.calls_end})
      used = used || part.find(name) != part.npos;
    if (const auto id = tokenizer.find(name); used && id) ids.push_back(*id);
  }
  return ids;
}

}  // namespace fathom::tokens
