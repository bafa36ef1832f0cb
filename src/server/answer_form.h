// The fields of a chat request that say what form its answer has: response_format, tools, the grammars that clients of
// vLLM and llama.cpp send, and how long the thought may be. One place for every dialect.
#pragma once

#include "server/constraint.h"
#include "server/field_reader.h"

namespace fathom::server {

inline constexpr std::size_t kMaxTools = 128;  // OpenAI's bound

struct AnswerForm {
  AnswerBounds bounds;
  files::Json tools = files::Json::array();  // as the template takes them; none where none may be called
  tokens::ToolSyntax tool_syntax = tokens::ToolSyntax::kNone;  // what the answer's calls are read as
};

// `thinking`: as the template is told; unset: its own default. `max_tokens`: of the answer, -1: as many as fit. Errors:
// what the fields ask that cannot be, a grammar that cannot be compiled.
ApiResult<AnswerForm> read_answer_form(const files::Json& body, const engine::LoadedModel& model,
                                       std::optional<bool> thinking, int max_tokens = -1);

}  // namespace fathom::server
