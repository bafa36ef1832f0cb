// Cuts a template into literal text and tokens, with the white space rules that chat templates are run under
// (trim_blocks and lstrip_blocks).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace fathom::tokens::jinja {

enum class TokenKind {
  kData,           // text outside of tags
  kVariableBegin,  // {{
  kVariableEnd,
  kBlockBegin,  // {%
  kBlockEnd,
  kName,
  kString,  // `text` is what it says, without quotes and escapes
  kInteger,
  kFloat,
  kOperator,
  kEnd
};

struct LexerToken {
  TokenKind kind = TokenKind::kEnd;
  std::string text;
  int line = 1;
};

// Errors name the line: a tag or a string that does not end, a character that no token starts with.
base::Result<std::vector<LexerToken>> tokenize(std::string_view source);

}  // namespace fathom::tokens::jinja
