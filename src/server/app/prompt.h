// From a wish (the contract's NewRun) to what the model reads: the path through the tree, options, and whether it fits.
#pragma once

#include "chat/records.h"
#include "engine/loaded_model.h"
#include "server/app/answer_options.h"

namespace fathom::server::app {

// The contract's NewConversation; `where` stands before the names of its fields in messages.
AppResult<chat::NewConversation> read_new_conversation(const Json& object, const std::string& where,
                                                       bool* temporary = nullptr);

struct Wish {
  chat::NewRun run;
  bool temporary = false;         // the conversation, where it is made
  Json options = Json::object();  // for this run only
  int leave_out = 0;
};

// Checked against the contract's schema, not yet against what is stored. `most` bounds a question's bytes.
AppResult<Wish> read_wish(const Json& body, std::size_t most);

// The messages from the first to the one that is answered, the question that is new among them, with its files.
AppResult<std::vector<chat::Message>> path_of(const Wish& wish, const std::vector<chat::Message>& stored,
                                              std::vector<chat::File> files);

struct Fit {
  int prompt_tokens = 0;
  int context_length = 0;
  bool fits = false;
  int leave_out = 0;  // so many of the oldest turns would have to go
};
Json fit_json(const Fit& fit);

struct ReadyPrompt {
  tokens::Rendered rendered;
  Fit fit;
};
// What a model reads of a path without its `leave_out` oldest turns. `continues`: the last message goes on. Errors:
// what the model's chat format cannot express.
AppResult<ReadyPrompt> prepare_prompt(const std::vector<chat::Message>& path, bool continues, int leave_out,
                                      const AnswerOptions& options, const engine::LoadedModel& model);

inline constexpr std::size_t kMostFiles = 20;  // that come with one question
inline constexpr int kLeastAnswer = 256;       // tokens that have to be left for an answer

}  // namespace fathom::server::app
