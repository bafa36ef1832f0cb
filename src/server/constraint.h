// A compiled grammar and a thought's budget as what the engine asks at each token. The grammar holds the answer, not
// the thought before it.
#pragma once

#include <memory>
#include <optional>

#include "engine/loaded_model.h"

namespace fathom::server {

struct AnswerBounds {
  std::optional<grammar::Compiled> grammar;  // none: any answer
  int max_reasoning_tokens = -1;             // the thought is closed after so many; -1: never
  bool may_think = false;                    // an answer may begin with a thought of its own accord
  bool bounded() const { return grammar || max_reasoning_tokens >= 0; }
};

// `opens_thinking`: the prompt ended inside a thought. The model must outlive the constraint, and have the token
// </think> where it may think.
std::unique_ptr<engine::Constraint> make_constraint(const engine::LoadedModel& model, const AnswerBounds& bounds,
                                                    bool opens_thinking);

}  // namespace fathom::server
