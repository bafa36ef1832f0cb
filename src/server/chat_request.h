// POST /v1/chat/completions, the request: OpenAI's fields and DeepSeek's, checked once, as the engine wants them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/loaded_model.h"
#include "server/answer_form.h"

namespace fathom::server {

inline constexpr int kMaxChoices = 8;       // n
inline constexpr int kMaxStops = 16;        // DeepSeek's bound
inline constexpr int kMaxTopLogprobs = 20;  // both APIs' bound
inline constexpr int kMaxBiases = 1024;     // logit_bias entries; each costs the sampler a step's time

struct ChatRequest {
  std::vector<tokens::Message> messages;
  tokens::RenderOptions render;
  engine::SamplingOptions sampling;
  std::optional<std::uint64_t> seed;
  int max_tokens = -1;
  std::vector<std::string> stop;
  bool ignore_eos = false;
  int choices = 1;
  bool stream = false;
  bool include_usage = false;  // OpenAI's shape of a stream's end; otherwise DeepSeek's
  bool logprobs = false;
  AnswerForm form;
};

// `model` gives the defaults, the vocabulary and what its template can do.
ApiResult<ChatRequest> read_chat_request(const files::Json& body, const engine::LoadedModel& model);

// All but the conversation and its template: what a completion of a text is asked with as well.
ApiResult<ChatRequest> read_answer_options(const files::Json& body, const engine::LoadedModel& model);

// The parts that /apply-template and /tokenize share with it.
ApiResult<std::vector<tokens::Message>> read_messages(const files::Json& body);
ApiResult<tokens::RenderOptions> read_render_options(const files::Json& body, const engine::LoadedModel& model);

}  // namespace fathom::server
