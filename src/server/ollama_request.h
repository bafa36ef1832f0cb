// The bodies of Ollama's /api/chat and /api/generate in the form of Chat Completions (or, for a raw text and a gap to
// fill, of Completions).
#pragma once

#include "server/model_pool.h"

namespace fathom::server {

// Errors name the field as the client sent it. What Chat Completions checks itself is passed on as it is.
ApiResult<files::Json> ollama_chat_to_chat(const files::Json& body);

struct OllamaGenerate {
  enum class Kind { kChat, kCompletion, kLoad };
  Kind kind = Kind::kChat;  // what `body` is the body of; kLoad: no prompt, the client only wants the model ready
  files::Json body;
};
ApiResult<OllamaGenerate> ollama_generate_to_chat(const files::Json& body);

// How long the model is to stay loaded: "keep_alive", seconds or a time such as "1h30m"; below zero: for ever. None
// where the body says nothing.
ApiResult<std::optional<KeepAlive>> read_keep_alive(const files::Json& body);

// An error of Chat Completions in the client's own field names.
ApiError ollama_error(ApiError error);

}  // namespace fathom::server
