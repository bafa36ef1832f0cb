// chat: a conversation at the terminal; where standard input is a file or a pipe, one question and its answer.
#include <unistd.h>

#include <cstdio>

#include "apps/chat_session.h"
#include "apps/commands.h"
#include "files/places.h"

namespace fathom::apps {

using base::fail;
using base::Result;

namespace {

Conversation begin(const ChatFlags& flags, const ChatModel& model, std::string system) {
  ChatSettings settings(model.default_sampling());
  settings.mutable_sampling() = apply(flags.sampling, settings.mutable_sampling());
  settings.seed = flags.seed;
  settings.thinking = flags.thinking;
  settings.max_tokens = flags.max_tokens;
  Conversation conversation(std::move(settings));
  conversation.set_system(std::move(system));
  return conversation;
}

// One that a server has loaded already need not be loaded again; but it answers with the server's own threads, cache
// and context.
Result<std::unique_ptr<ChatModel>> open_chat_model(const ChatFlags& flags, const std::string& path) {
  const bool as_it_is = flags.threads == 0 && flags.context == 0 && flags.cache_type.empty() &&
                        flags.prefill_cell == 0 && flags.draft.empty();
  if (as_it_is && !flags.no_server) {
    auto served = served_chat_model(path);
    if (!served || *served) return served;
  }
  auto model = open_model(flags);
  if (!model) return std::unexpected(model.error());
  return local_chat_model(std::move(*model));
}

Result<std::string> piped_question() {
  auto text = read_text("-");
  if (text && text->find_first_not_of(" \t\r\n") == std::string::npos) return fail("standard input holds no question");
  if (text) text->resize(text->find_last_not_of("\r\n") + 1);
  return text;
}

}  // namespace

Result<std::string> system_prompt(const std::string& text_or_file) {
  if (!text_or_file.starts_with('@')) return text_or_file;
  auto text = read_text(text_or_file.substr(1));
  if (text && text->ends_with('\n')) text->pop_back();
  return text;
}

Status chat(const ChatFlags& flags) {
  use_utf8_locale();
  auto system = system_prompt(flags.system);
  if (!system) return std::unexpected(system.error());
  // A wrong name is said before a question is read, and a question that is missing before a model is loaded.
  const auto path = resolve_model(flags.model);
  if (!path) return std::unexpected(path.error());
  const bool at_terminal = isatty(STDIN_FILENO) == 1;
  Result<std::string> question;
  if (!at_terminal) question = piped_question();
  if (!question) return std::unexpected(question.error());
  auto model = open_chat_model(flags, *path);
  if (!model) return std::unexpected(model.error());
  // What cannot chat says so before a person types.
  const std::vector<tokens::Message> greeting{{.role = "user", .content = "Hello"}};
  if (auto prompt = (*model)->chat_template().render(greeting, {}); !prompt)
    return fail("{} cannot chat: {}; `fathom generate --raw` continues texts", (*model)->name(),
                prompt.error().message);
  ChatSession session(**model, begin(flags, **model, std::move(*system)));
  if (!at_terminal) return session.answer_once(std::move(*question));
  const auto places = files::Places::from_environment();
  return session.talk(places ? places->data + "/chat_history" : std::string());
}

}  // namespace fathom::apps
