// An answer as Ollama's clients read it: objects, one a line in a stream, and durations in nanoseconds.
#pragma once

#include <memory>
#include <string>

#include "server/answer_blocks.h"

namespace fathom::server {

enum class OllamaCall { kChat, kGenerate };

struct OllamaHead {
  OllamaCall call = OllamaCall::kChat;
  std::string model;
};

std::unique_ptr<StreamWriter> ollama_stream(OllamaHead head);
Response whole_ollama(const OllamaHead& head, const BlockAnswer& answer);
// The answer to a call that only wants the model to be ready.
files::Json ollama_ready(const OllamaHead& head, std::string_view reason);
Response ollama_error_response(const ApiError& error);  // {"error": "..."}

}  // namespace fathom::server
