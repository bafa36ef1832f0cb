// From tokens to text: an answer as its readers want it, split into reasoning and content, cut at stop strings, never
// with half a character.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/loaded_model.h"

namespace fathom::engine {

struct AnswerRequest {
  tokens::Rendered prompt;
  std::vector<tokens::TokenId> prompt_ids;  // in its place, where the caller has ids
  bool plain = false;  // a text that goes on: no thought is read out of it, control tokens stand in it by their names
  SamplingOptions sampling;
  int max_tokens = -1;
  std::vector<std::string> stop;  // an answer ends before the first of these texts
  bool ignore_stop = false;       // go on past the model's end-of-turn tokens
  std::string owner;              // as Run's
  // Makes the run's constraint; empty: none. (A request is copied for each of its choices, a constraint is not.)
  std::function<std::unique_ptr<Constraint>()> constraint;
  tokens::ToolSyntax tools = tokens::ToolSyntax::kNone;  // calls of this form are taken out of the content
};

// A piece of a tool call. The first of a call has its name (and no arguments), the others pieces of its arguments,
// which together are one JSON object.
struct ToolCallDelta {
  int index = 0;  // 0, 1, ... in the order in which the calls come
  std::string name;
  std::string arguments;
};

struct AnswerToken {
  tokens::TokenId id = 0;
  float logprob = 0;
  std::vector<TokenLogprob> top;
  bool reasoning = false;
};

// What came since the last call; any of the parts may be empty. The last one has finish != kNone.
struct AnswerDelta {
  std::string reasoning;
  std::string content;
  std::vector<ToolCallDelta> tool_calls;
  std::vector<AnswerToken> tokens;
  FinishReason finish = FinishReason::kNone;
  std::string stop_text;  // the stop string that ended the answer, if one did
  std::string error;
  RunStatistics statistics;
  int reasoning_tokens = 0;
};

// Called on the engine's thread; must return at once.
using AnswerSink = std::function<void(const AnswerDelta&)>;

// Errors as Engine::submit. `model` must outlive the run.
base::Result<RunId> start_answer(LoadedModel& model, AnswerRequest request, AnswerSink sink);

}  // namespace fathom::engine
