// Titles by the model: after the first answer, or when a person asks for one.
#include "server/app/app.h"
#include "server/app/app_json.h"

namespace fathom::server::app {

namespace {

constexpr int kTitleTokens = 32;
constexpr std::size_t kReadBytes = 1500;  // of the question and of the answer each: a title needs no more

constexpr std::string_view kWish =
    "Write a title for this conversation: at most six words, in the language of the question, without quotation marks "
    "or a full stop. Answer with the title alone.";

std::string start_of(const std::string& text) {
  std::size_t end = std::min(text.size(), kReadBytes);
  while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

std::string_view without(std::string_view text, std::string_view mark) {
  while (text.starts_with(mark)) text.remove_prefix(mark.size());
  while (text.ends_with(mark)) text.remove_suffix(mark.size());
  return text;
}

// The first line that says something, without what models put around a title. Empty: it is none.
std::string cleaned(std::string_view text) {
  text = without(without(text, "\n"), " ");
  text = text.substr(0, text.find('\n'));
  for (const std::string_view label : {"Title:", "제목:", "标题：", "标题:"})
    if (text.starts_with(label)) text.remove_prefix(label.size());
  for (int round = 0; round < 3; ++round) {
    for (const std::string_view mark : {" ", "\"", "'", "*", "#", "“", "”", "「", "」", "《", "》", ".", "。"})
      text = without(text, mark);
  }
  return std::string(text.size() <= chat::kMaxTitle ? text : std::string_view());
}

}  // namespace

struct App::TitleRun {
  std::string conversation;
  chat::Store* store = nullptr;
  ModelUse model;
  std::mutex mutex;
  std::optional<engine::RunId> id;  // under mutex, as what follows
  bool cancelled = false;
  std::string text;
  engine::RunStatistics statistics;

  void cancel() {
    const std::lock_guard lock(mutex);
    cancelled = true;
    if (id) model->engine().cancel(*id);
  }
};

// With mutex_ held.
void App::cancel_titles() {
  for (const auto& [conversation, title] : titles_) title->cancel();
}

// Only of a conversation that has its first answer now and the question for a title.
void App::name_after(const chat::Conversation& conversation) {
  if (conversation.title_by != "question" || is_temporary(conversation.id)) return;
  const auto all = settings();
  if (!all || all->at("titles") != true) return;
  const auto thread = kept_->thread(conversation.id);
  if (!thread || std::ranges::count(thread->messages, "assistant", &chat::Message::role) != 1) return;
  ModelWait wait;  // not waited: a model that is not loaded any more names nothing
  (void)make_title(conversation.id, wait);
}

AppResult<bool> App::make_title(const std::string& conversation, ModelWait& wait) {
  chat::Store& store = store_of(conversation);
  const auto thread = store.thread(conversation);
  if (!thread) return std::unexpected(from_refusal(thread.error()));
  const auto is_answer = [](const chat::Message& m) { return m.role == "assistant" && !m.content.empty(); };
  const auto answer = std::ranges::find_if(thread->messages, is_answer);
  const auto question = std::ranges::find(thread->messages, "user", &chat::Message::role);
  if (answer == thread->messages.end() || question == thread->messages.end()) {
    return std::unexpected(
        AppError{.status = 409, .code = "bad_request", .message = "a title needs a question and its answer"});
  }
  const auto options = options_for(thread->conversation.options, Json::object());
  if (!options) return std::unexpected(options.error());
  const auto model = model_for(*options, wait);
  if (!model) return std::unexpected(model.error());
  tokens::RenderOptions rendering;
  if ((*model)->chat_template().can_think()) rendering.thinking = false;
  auto prompt = (*model)->chat_template().render({{.role = "user", .content = start_of(question->content)},
                                                  {.role = "assistant", .content = start_of(answer->content)},
                                                  {.role = "user", .content = std::string(kWish)}},
                                                 rendering);
  if (!prompt) return std::unexpected(bad_request("", prompt.error().message));

  auto title = std::make_shared<TitleRun>();
  title->conversation = conversation;
  title->store = &store;
  title->model = *model;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || !titles_.try_emplace(conversation, title).second) return false;
  }
  auto sampling = (*model)->default_sampling();
  sampling.temperature = 0;
  const auto id = engine::start_answer(**model,
                                       {.prompt = std::move(*prompt),
                                        .sampling = std::move(sampling),
                                        .max_tokens = kTitleTokens,
                                        .owner = owner_of(conversation)},
                                       [this, title, desk = desk_](const engine::AnswerDelta& delta) {
                                         {
                                           const std::lock_guard lock(title->mutex);
                                           title->text += delta.content;
                                           title->statistics = delta.statistics;
                                           if (delta.finish != engine::FinishReason::kNone &&
                                               delta.finish != engine::FinishReason::kStop &&
                                               delta.finish != engine::FinishReason::kLength)
                                             title->text.clear();
                                         }
                                         if (delta.finish != engine::FinishReason::kNone)
                                           desk->put([this, title] { end_title(title); });
                                       });
  if (!id) {
    desk_->put([this, title] { end_title(title); });
    return std::unexpected(AppError{.status = 409, .code = "queue_full", .message = id.error().message});
  }
  const std::lock_guard lock(title->mutex);
  title->id = *id;
  if (title->cancelled) (*model)->engine().cancel(*id);
  return true;
}

void App::end_title(const std::shared_ptr<TitleRun>& title) {
  std::string text;
  UsageCounts used;
  {
    const std::lock_guard lock(title->mutex);
    text = cleaned(title->text);
    used = counts_of(title->statistics, 0);
  }
  book(title->model->name(), used);
  if (!text.empty()) {
    if (const auto named = title->store->name(title->conversation, text)) tell(*named);
  }
  const std::lock_guard lock(mutex_);
  titles_.erase(title->conversation);
  idle_.notify_all();
}

}  // namespace fathom::server::app
