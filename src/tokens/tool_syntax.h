// How the models write a call of a tool, as one table: what a grammar forces and what a reader reads are the same
// texts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokens/tokenizer.h"

namespace fathom::tokens {

enum class ToolSyntax : std::uint8_t { kNone, kDeepseekV3, kDeepseekV31, kHermes, kLlama3 };

// calls_begin, then calls with `separator` between them, each call_begin NAME before_arguments JSON call_end, then
// calls_end.
struct ToolMarkup {
  std::string_view calls_begin, call_begin, before_arguments, call_end, separator, calls_end;
  bool several = true;  // one answer may hold more than one call

  // What shows that calls begin: the text before it is the answer's own.
  std::string_view trigger() const { return calls_begin.empty() ? call_begin : calls_begin; }
};

// Not for kNone.
const ToolMarkup& tool_markup(ToolSyntax syntax);

// The control tokens of this tokenizer that the markup is made of. They belong to an answer's text, others do not.
std::vector<TokenId> tool_tokens(const Tokenizer& tokenizer, ToolSyntax syntax);

}  // namespace fathom::tokens
