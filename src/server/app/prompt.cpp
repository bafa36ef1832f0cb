#include "server/app/prompt.h"

#include <algorithm>
#include <unordered_map>

#include "server/app/strict_fields.h"

namespace fathom::server::app {

namespace {

AppResult<chat::NewConversation> read_conversation(StrictFields& fields, bool* temporary) {
  const Json* object = fields.object("conversation");
  if (object == nullptr) return std::unexpected(bad_request("conversation", "is missing"));
  return read_new_conversation(*object, "conversation.", temporary);
}

AppResult<std::optional<chat::NewMessage>> read_question(StrictFields& fields, std::size_t most) {
  const Json* object = fields.object("message");
  if (object == nullptr) return std::nullopt;
  StrictFields inner(*object, {"id", "content", "file_ids"}, "message.");
  chat::NewMessage message{.id = inner.required_id("id"), .role = "user"};
  message.content = inner.required_text("content", most);
  message.file_ids = inner.ids("file_ids", kMostFiles);
  if (const auto wrong = inner.wrong()) return std::unexpected(*wrong);
  return message;
}

// Where the turns that are left begin: a turn begins with a question (or whatever comes first), and the last one stays.
std::size_t first_left(const std::vector<chat::Message>& path, int leave_out) {
  std::size_t first = 0;
  for (std::size_t i = 1; i < path.size() && leave_out > 0; ++i) {
    if (path[i].role != "user") continue;
    first = i;
    --leave_out;
  }
  return first;
}

int turns_of(const std::vector<chat::Message>& path) {
  const auto questions = std::ranges::count(path, "user", &chat::Message::role);
  return static_cast<int>(questions) + (path.empty() || path.front().role == "user" ? 0 : 1);
}

base::Result<tokens::Rendered> render(const std::vector<chat::Message>& path, bool continues, int leave_out,
                                      const AnswerOptions& options, const engine::LoadedModel& model) {
  std::vector<tokens::Message> messages;
  if (!options.system_prompt.empty()) messages.push_back({.role = "system", .content = options.system_prompt});
  for (std::size_t i = first_left(path, leave_out); i < path.size(); ++i) {
    messages.push_back({.role = path[i].role, .content = path[i].content, .reasoning = path[i].reasoning.value_or("")});
  }
  if (continues) messages.back().prefix = true;
  tokens::RenderOptions rendering;
  if (model.chat_template().can_think()) rendering.thinking = options.thinking;
  return model.chat_template().render(messages, rendering);
}

}  // namespace

AppResult<chat::NewConversation> read_new_conversation(const Json& object, const std::string& where, bool* temporary) {
  StrictFields fields(object, {"id", "title", "temporary", "options"}, where);
  chat::NewConversation conversation{.id = fields.required_id("id"),
                                     .title = fields.text_of("title", kMaxTitleBytes).value_or("")};
  const bool is_temporary = fields.boolean("temporary").value_or(false);
  if (temporary != nullptr) *temporary = is_temporary;
  if (const Json* options = fields.object("options")) {
    auto checked = check_options(*options, where + "options.");
    if (!checked) return std::unexpected(checked.error());
    conversation.options = json_text(merged({&*checked}));
  }
  if (const auto wrong = fields.wrong()) return std::unexpected(*wrong);
  conversation.made_of = digest_of(object);
  return conversation;
}

AppResult<Wish> read_wish(const Json& body, std::size_t most) {
  StrictFields fields(
      body, {"id", "conversation", "parent_id", "message", "continue_id", "answer_id", "options", "leave_out"});
  Wish wish;
  wish.run.id = fields.required_id("id");
  wish.run.answer_id = fields.required_id("answer_id");
  wish.run.parent_id = fields.id("parent_id");
  wish.leave_out = static_cast<int>(fields.integer("leave_out", 0, 1'000'000).value_or(0));
  const auto continue_id = fields.id("continue_id");
  if (const auto wrong = fields.wrong()) return std::unexpected(*wrong);
  auto conversation = read_conversation(fields, &wish.temporary);
  if (!conversation) return std::unexpected(conversation.error());
  wish.run.conversation = std::move(*conversation);
  auto question = read_question(fields, most);
  if (!question) return std::unexpected(question.error());
  wish.run.question = std::move(*question);
  if (wish.run.question) wish.run.question->conversation_id = wish.run.conversation.id;
  if (const Json* options = fields.object("options")) {
    auto checked = check_options(*options);
    if (!checked) return std::unexpected(checked.error());
    wish.options = std::move(*checked);
  }
  if (const auto wrong = fields.wrong()) return std::unexpected(*wrong);
  if (continue_id) {
    if (wish.run.question || wish.run.parent_id)
      return std::unexpected(bad_request("continue_id", "goes without message and parent_id"));
    if (*continue_id != wish.run.answer_id)
      return std::unexpected(bad_request("answer_id", "expected the same as continue_id"));
    wish.run.continues = true;
  } else if (!wish.run.question && !wish.run.parent_id) {
    return std::unexpected(bad_request("message", "is missing: a run needs a message, a parent_id or a continue_id"));
  }
  wish.run.made_of = digest_of(body);
  return wish;
}

AppResult<std::vector<chat::Message>> path_of(const Wish& wish, const std::vector<chat::Message>& stored,
                                              std::vector<chat::File> files) {
  std::unordered_map<std::string_view, const chat::Message*> by_id;
  for (const chat::Message& message : stored) by_id[message.id] = &message;
  std::vector<chat::Message> path;
  if (wish.run.question) {
    path.push_back({.id = wish.run.question->id, .role = "user", .content = wish.run.question->content});
    path.back().files = std::move(files);
  }
  std::optional<std::string> at = wish.run.continues ? std::optional(wish.run.answer_id) : wish.run.parent_id;
  while (at) {
    const auto found = by_id.find(*at);
    if (found == by_id.end()) return std::unexpected(not_found(fmt::format("there is no message {:?} here", *at)));
    path.push_back(*found->second);
    at = found->second->parent_id;
  }
  std::ranges::reverse(path);
  return path;
}

Json fit_json(const Fit& fit) {
  return {{"prompt_tokens", fit.prompt_tokens},
          {"context_length", fit.context_length},
          {"fits", fit.fits},
          {"leave_out", fit.leave_out}};
}

AppResult<ReadyPrompt> prepare_prompt(const std::vector<chat::Message>& path, bool continues, int leave_out,
                                      const AnswerOptions& options, const engine::LoadedModel& model) {
  const int context = model.context_length();
  const auto measure = [&](int without) -> AppResult<ReadyPrompt> {
    auto rendered = render(path, continues, without, options, model);
    if (!rendered) return std::unexpected(bad_request("", rendered.error().message));
    const auto tokens = static_cast<int>(model.tokenizer().encode(rendered->prompt).size());
    return ReadyPrompt{std::move(*rendered), {tokens, context, tokens + kLeastAnswer <= context, 0}};
  };
  auto ready = measure(leave_out);
  if (!ready || ready->fit.fits) return ready;
  // The fewest further turns without which it fits; all that may go where nothing helps.
  int low = leave_out + 1, high = std::max(turns_of(path) - 1, leave_out);
  while (low < high) {
    const int middle = (low + high) / 2;
    const auto without = measure(middle);
    if (!without) return without;
    if (without->fit.fits) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  ready->fit.leave_out = high;
  return ready;
}

}  // namespace fathom::server::app
