// Runs from a wish to their end.
#include <spdlog/spdlog.h>

#include "server/app/app.h"
#include "server/app/app_json.h"
#include "server/app/sources.h"

namespace fathom::server::app {

namespace {

AppError context_full(const Fit& fit) {
  return {
      .status = 409,
      .code = "context_full",
      .message = fmt::format("the conversation is {} tokens long, and the context of {} holds it with an answer of at "
                             "least {} only if its {} oldest turns are left out",
                             fit.prompt_tokens, fit.context_length, kLeastAnswer, fit.leave_out),
      .extra = {{"fit", fit_json(fit)}}};
}

}  // namespace

std::shared_ptr<LiveRun> App::live(const std::string& run) {
  const std::lock_guard lock(mutex_);
  const auto found = live_.find(run);
  return found == live_.end() ? nullptr : found->second;
}

AppResult<std::pair<chat::Run, RunLog>> App::ended_run(const std::string& id) {
  for (chat::Store* store : stores()) {
    const auto run = store->run(id);
    if (!run) continue;
    const auto message = store->message(run->message_id);
    if (!message) return std::unexpected(from_refusal(message.error()));
    return std::pair(*run, log_of(*run, *message));
  }
  return std::unexpected(not_found(fmt::format("there is no run {:?} here", id)));
}

AppResult<Json> App::show_run(const std::string& id) {
  if (const auto run = live(id)) return run_json(run->run(), run->log());
  const auto ended = ended_run(id);
  if (!ended) return std::unexpected(ended.error());
  return run_json(ended->first, ended->second);
}

AppResult<App::Prepared> App::prepare(const Wish& wish, ModelWait& wait) {
  chat::Store& store = store_for(wish);
  auto thread = store.thread(wish.run.conversation.id);
  const bool is_new = !thread && thread.error().problem == chat::Problem::kNotFound;
  if (!thread && (!is_new || !wish.run.question || wish.run.parent_id))
    return std::unexpected(from_refusal(thread.error()));
  std::vector<chat::File> files;
  for (const std::string& id : wish.run.question ? wish.run.question->file_ids : std::vector<std::string>{}) {
    auto file = store.file(id);
    if (!file) return std::unexpected(from_refusal(file.error()));
    files.push_back(std::move(*file));
  }
  auto path = path_of(wish, is_new ? std::vector<chat::Message>{} : thread->messages, std::move(files));
  if (!path) return std::unexpected(path.error());
  auto options = options_for(is_new ? wish.run.conversation.options : thread->conversation.options, wish.options);
  if (!options) return std::unexpected(options.error());
  auto model = model_for(*options, wait);
  if (!model) return std::unexpected(model.error());
  auto before = wish.run.continues ? path->back() : chat::Message{};
  auto sources = put_files_into(*path, store, **model);
  if (!sources) return std::unexpected(sources.error());
  auto prompt = prepare_prompt(*path, wish.run.continues, wish.leave_out, *options, **model);
  if (!prompt) return std::unexpected(prompt.error());
  return Prepared{.options = std::move(*options),
                  .model = std::move(*model),
                  .prompt = std::move(*prompt),
                  .sources = std::move(*sources),
                  .before = std::move(before)};
}

AppResult<Json> App::check(const Wish& wish, ModelWait& wait) {
  const auto prepared = prepare(wish, wait);
  if (!prepared) return std::unexpected(prepared.error());
  return fit_json(prepared->prompt.fit);
}

AppResult<std::pair<Json, bool>> App::start(Wish wish, ModelWait& wait) {
  const std::lock_guard starting(start_mutex_);
  const std::string& conversation = wish.run.conversation.id;
  // A repetition finds the conversation full or running, so it is known before anything else is looked at.
  for (chat::Store* store : stores()) {
    const auto found = store->run(wish.run.id);
    if (!found) continue;
    const auto again = store->start(wish.run);
    if (!again) return std::unexpected(from_refusal(again.error()));
    auto shown = show_run(again->value.id);
    if (!shown) return std::unexpected(shown.error());
    return std::pair(std::move(*shown), false);
  }
  auto prepared = prepare(wish, wait);
  if (!prepared) return std::unexpected(prepared.error());
  chat::Store& store = store_for(wish);
  const bool temporary = &store == temporary_.get();
  const auto known = store.conversation(conversation);
  if (known && known->run_id)
    return std::unexpected(
        from_refusal({chat::Problem::kRunInProgress, "an answer is being made in this conversation", *known->run_id}));
  if (!prepared->prompt.fit.fits) return std::unexpected(context_full(prepared->prompt.fit));
  wish.run.model = prepared->model->name();
  if (!prepared->sources.is_null()) wish.run.sources = json_text(prepared->sources);
  const auto stored = store.start(wish.run);
  if (!stored) return std::unexpected(from_refusal(stored.error()));
  if (temporary) is_temporary_now(conversation);

  auto run = std::make_shared<LiveRun>(store, stored->value, prepared->model, std::move(prepared->before),
                                       prepared->options.thinking_budget, ledger() ? &ledger()->prices() : nullptr);
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) run->stop(LiveRun::Why::kShutdown);
    live_[wish.run.id] = run;
  }
  if (const auto now = store.conversation(conversation)) tell(*now);
  const std::int64_t ahead = prepared->model->engine().status().waiting;
  run->set_phase(ahead > 0 ? Json{{"type", "queued"}, {"ahead", ahead}}
                           : Json{{"type", "prefill"}, {"done", 0}, {"total", prepared->prompt.fit.prompt_tokens}});
  Json reply = run_json(stored->value, run->log());
  submit(run, {.prompt = std::move(prepared->prompt.rendered),
               .sampling = apply_sampling(prepared->options.fields, prepared->model->default_sampling()),
               .max_tokens = prepared->options.max_tokens,
               .owner = owner_of(conversation)});
  return std::pair(std::move(reply), true);
}

// The engine may call the sink before this returns.
void App::submit(const std::shared_ptr<LiveRun>& run, engine::AnswerRequest request) {
  auto sink = [this, run, desk = desk_, again = request](const engine::AnswerDelta& delta) {
    switch (run->add(delta)) {
      case LiveRun::Added::kMore:
        return;
      case LiveRun::Added::kLast:
        return desk->put([this, run] { finish(run); });
      case LiveRun::Added::kThoughtEnough:
        return desk->put([this, run, again]() mutable {
          again.prompt = run->resume_prompt(std::move(again.prompt));
          if (again.max_tokens >= 0)
            again.max_tokens = std::max<int>(again.max_tokens - static_cast<int>(run->log().tokens), 1);
          submit(run, std::move(again));
        });
    }
  };
  const auto id = engine::start_answer(run->model(), std::move(request), std::move(sink));
  if (id) return run->submitted(*id);
  run->failed_to_start({"queue_full", id.error().message});
  desk_->put([this, run] { finish(run); });
}

void App::book(const std::string& model, const UsageCounts& used) {
  if (metering_ && used.output_tokens > 0) metering_->pay_for_page(model, used);
}

// On the thread: the end is told when it is on disk.
void App::finish(const std::shared_ptr<LiveRun>& run) {
  book(run->model().name(), run->used());
  const chat::EndedRun ended = run->result();
  const auto conversation = run->store().end(ended);
  const bool purged = !conversation && conversation.error().problem == chat::Problem::kNotFound;
  if (!conversation && !purged) {
    spdlog::error("an answer could not be kept: {}", conversation.error().message);
    run->end({.id = ended.id,
              .status = "failed",
              .error = chat::RunError{"no_space", "the answer could not be kept: " + conversation.error().message}});
  } else {
    run->end(ended);
  }
  if (conversation && !conversation->deleted_at) {
    tell(*conversation);
    if (ended.status == "done" || ended.status == "length") name_after(*conversation);
  }
  const std::lock_guard lock(mutex_);
  live_.erase(ended.id);
  idle_.notify_all();
}

void App::stop_run_in(const chat::Conversation& conversation) {
  if (!conversation.run_id) return;
  if (const auto run = live(*conversation.run_id)) run->stop(LiveRun::Why::kPerson);
}

}  // namespace fathom::server::app
