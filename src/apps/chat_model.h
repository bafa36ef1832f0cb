// What a chat at the terminal talks to: a model in this program, or one that a running server has loaded. Either way
// the files' tokenizer and template are here, so that the chat can count.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/answer.h"
#include "engine/loaded_model.h"

namespace fathom::apps {

class RunningServer;

struct ChatQuestion {
  std::vector<tokens::Message> messages;
  std::optional<bool> thinking;
  engine::SamplingOptions sampling;
  int max_tokens = -1;
};

class ChatModel {
 public:
  virtual ~ChatModel() = default;
  virtual const std::string& name() const = 0;
  virtual const tokens::Tokenizer& tokenizer() const = 0;
  virtual const tokens::ChatTemplate& chat_template() const = 0;
  virtual const engine::SamplingOptions& default_sampling() const = 0;
  virtual int context_length() const = 0;
  virtual std::string where() const { return {}; }  // the server's address; "": here

  // One answer at a time. The last delta has a finish. Errors: the question cannot be put.
  virtual base::Result<void> start(ChatQuestion question, engine::AnswerSink sink) = 0;
  virtual void cancel() = 0;  // the answer under way ends soon
};

std::unique_ptr<ChatModel> local_chat_model(std::unique_ptr<engine::LoadedModel> model);

// The model at `path` as the running server has it; nothing where none runs, or it has not loaded that one.
base::Result<std::unique_ptr<ChatModel>> served_chat_model(const std::string& path);

}  // namespace fathom::apps
