// The contract's Options: how a conversation is answered. Checked when they are kept, merged when they are used.
#pragma once

#include "engine/sampling.h"
#include "server/app/call.h"
#include "tokens/chat_template.h"

namespace fathom::server::app {

// `options` itself, or what is wrong with it. With `where` before the names of fields.
AppResult<Json> check_options(const Json& options, const std::string& where = "options.");

// A field of the last layer that has it; null counts as absent.
Json merged(std::initializer_list<const Json*> layers);

// How a run is answered, from merged options.
struct AnswerOptions {
  std::string model;  // "": the default
  std::string system_prompt;
  std::optional<bool> thinking;
  int thinking_budget = -1;  // -1: none
  int max_tokens = -1;
  Json fields;  // all of them, for apply_sampling
};
AnswerOptions answer_options(const Json& merged_options);
engine::SamplingOptions apply_sampling(const Json& merged_options, engine::SamplingOptions sampling);

}  // namespace fathom::server::app
