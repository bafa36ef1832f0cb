#include "apps/chat_conversation.h"

#include <algorithm>
#include <utility>

namespace fathom::apps {

using base::fail;
using base::Result;
using files::Json;
using tokens::Message;

void Conversation::ask(std::string question) {
  messages_.push_back({.role = "user", .content = std::move(question)});
  attempts_ = 0;
}

void Conversation::answer(std::string reasoning, std::string content) {
  messages_.push_back({.role = "assistant", .content = std::move(content), .reasoning = std::move(reasoning)});
  ++attempts_;
}

void Conversation::extend_answer(const std::string& reasoning, const std::string& content) {
  FATHOM_CHECK(answered());
  messages_.back().reasoning += reasoning;
  messages_.back().content += content;
}

std::string Conversation::take_back_question() {
  FATHOM_CHECK(!messages_.empty() && !answered());
  std::string question = std::move(messages_.back().content);
  messages_.pop_back();
  return question;
}

void Conversation::take_back_answer() {
  if (answered()) messages_.pop_back();
}

void Conversation::clear() {
  messages_.clear();
  left_out_ = attempts_ = 0;
}

// A turn begins with a question (or whatever a loaded conversation begins with).
std::size_t Conversation::first_of_turn(int turn) const {
  int seen = -1;
  for (std::size_t i = 0; i < messages_.size(); ++i) {
    if (i == 0 || messages_[i].role == "user") ++seen;
    if (seen == turn) return i;
  }
  return messages_.size();
}

int Conversation::seen_turns() const {
  int turns = 0;
  while (first_of_turn(turns) < messages_.size()) ++turns;
  return turns - left_out_;
}

std::vector<Message> Conversation::seen_without(int turns) const {
  std::vector<Message> seen;
  if (!system_.empty()) seen.push_back({.role = "system", .content = system_});
  const auto first = static_cast<std::ptrdiff_t>(first_of_turn(left_out_ + turns));
  seen.insert(seen.end(), messages_.begin() + first, messages_.end());
  return seen;
}

Json Conversation::to_json() const {
  Json messages = Json::array();
  if (!system_.empty()) messages.push_back({{"role", "system"}, {"content", system_}});
  for (const Message& m : messages_) {
    Json message{{"role", m.role}, {"content", m.content}};
    if (!m.reasoning.empty()) message["reasoning_content"] = m.reasoning;
    messages.push_back(std::move(message));
  }
  return {{"messages", std::move(messages)}, {"settings", settings.to_json()}};
}

Result<void> Conversation::from_json(const Json& json) {
  const Json* list = &json;
  if (json.is_object()) {
    if (!json.contains("messages"))
      return fail("expected a conversation: an object with \"messages\", or an array of messages");
    list = &json["messages"];
  }
  auto messages = tokens::messages_from_json(*list);
  if (!messages) return std::unexpected(messages.error());
  std::string system;
  if (!messages->empty() && messages->front().role == "system") {
    system = std::move(messages->front().content);
    messages->erase(messages->begin());
  }
  for (const Message& m : *messages)
    if (!m.tool_calls.empty() || (m.role != "user" && m.role != "assistant"))
      return fail("a message of role \"{}\"{}: a chat in the terminal has questions and answers alone", m.role,
                  m.tool_calls.empty() ? "" : " with tool calls");
  if (json.is_object() && json.contains("settings"))
    if (auto read = settings.from_json(json["settings"]); !read) return read;
  clear();
  system_ = std::move(system);
  messages_ = std::move(*messages);
  return {};
}

}  // namespace fathom::apps
