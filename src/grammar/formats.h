// What an answer may be, as requests say it: JSON, a schema, a regular expression, a grammar, calls of tools. Each
// becomes one description in the compiler's language (a structural tag); nothing is compiled here.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "files/json.h"
#include "tokens/tool_syntax.h"

namespace fathom::grammar {

// A description that Compiler takes.
using Format = files::Json;

Format json_object();
// `name` stands in messages. Errors: see supported_schema.
base::Result<Format> json_schema(const files::Json& schema, std::string_view name);
base::Result<Format> regex(std::string_view pattern);
// In the notation of GBNF: `root ::= "yes" | "no"`. Errors: too long, nested too deep; its syntax is the compiler's to
// judge.
base::Result<Format> ebnf(std::string_view text);
base::Result<Format> choice(const std::vector<std::string>& texts);

struct Tool {
  std::string name;
  files::Json parameters;  // a schema of an object
  bool strict =
      false;  // the schema must be kept; else it is kept where it can be, and any JSON object is taken instead
};
struct ToolCalls {
  tokens::ToolSyntax syntax = tokens::ToolSyntax::kNone;
  std::vector<Tool> tools;  // those that may be called
  bool required = false;    // calls, and nothing but calls
  bool several = true;
};
// Errors: the schema of a strict tool that is not supported.
base::Result<Format> tool_calls(const ToolCalls& calls);

// The format behind a thought, where models leave a line.
Format after_thought(Format format);

}  // namespace fathom::grammar
