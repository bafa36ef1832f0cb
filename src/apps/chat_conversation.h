// A conversation as data: a system prompt, turns of questions and answers, and how many of the oldest turns the model
// no longer sees. Terminals and models are not known here.
#pragma once

#include <string>
#include <vector>

#include "apps/chat_settings.h"
#include "base/error.h"
#include "files/json.h"
#include "tokens/chat_template.h"

namespace fathom::apps {

class Conversation {
 public:
  explicit Conversation(ChatSettings chat_settings) : settings(std::move(chat_settings)) {}

  ChatSettings settings;

  const std::string& system() const { return system_; }
  void set_system(std::string text) { system_ = std::move(text); }

  void ask(std::string question);
  void answer(std::string reasoning, std::string content);
  void extend_answer(const std::string& reasoning, const std::string& content);  // the last answer goes on
  std::string take_back_question();  // the last message, which must be a question
  void take_back_answer();           // the answer to the last question, if there is one
  void clear();                      // all but the system prompt and the settings

  bool empty() const { return messages_.empty(); }
  bool answered() const { return !messages_.empty() && messages_.back().role == "assistant"; }
  std::size_t size() const { return messages_.size(); }
  int attempts() const { return attempts_; }  // answers that the last question had

  // What the model sees: the system prompt and the turns that are not left out.
  std::vector<tokens::Message> seen() const { return seen_without(0); }
  // The same without the `turns` oldest of them.
  std::vector<tokens::Message> seen_without(int turns) const;
  int seen_turns() const;
  int left_out() const { return left_out_; }
  void leave_out(int turns) { left_out_ += turns; }

  // {"messages": [...], "settings": {...}}; messages in OpenAI's form, an answer's thoughts as reasoning_content.
  files::Json to_json() const;
  // Also a bare array of messages. Errors: which message or setting is not as expected; then nothing is changed.
  base::Result<void> from_json(const files::Json& json);

 private:
  std::size_t first_of_turn(int turn) const;

  std::string system_;
  std::vector<tokens::Message> messages_;  // without the system prompt
  int left_out_ = 0;
  int attempts_ = 0;
};

}  // namespace fathom::apps
