// What the routes share: where a conversation is, its options, and the thread that follows runs to their end.
#include "server/app/app.h"

#include <spdlog/spdlog.h>

#include <chrono>

#include "engine/owner.h"
#include "server/app/app_json.h"

namespace fathom::server::app {

namespace {

constexpr std::chrono::seconds kStopLimit{30};  // an engine ends its runs within a step
constexpr std::chrono::minutes kPurgeEvery{5};
constexpr std::chrono::hours kImportKept{1};  // what came of it can be asked for so long
constexpr int kMostImports = 4;
constexpr std::int64_t kTemporaryMilliseconds = 3600 * 1000;

}  // namespace

base::Result<std::unique_ptr<App>> App::make(Options options) {
  auto temporary = chat::Store::open("");
  if (!temporary) return std::unexpected(temporary.error());
  return std::unique_ptr<App>(new App(std::move(options), std::move(*temporary)));
}

App::App(Options options, std::unique_ptr<chat::Store> temporary)
    : kept_(std::move(options.kept)),
      temporary_(std::move(temporary)),
      models_(std::move(options.models)),
      version_(std::move(options.version)),
      folder_(std::move(options.folder)),
      metering_(std::move(options.metering)),
      library_(std::make_unique<ModelLibrary>(
          models_, std::move(options.places),
          [this](Json model) { changes_.publish({{"type", "model"}, {"model", std::move(model)}}); })),
      worker_([this](std::stop_token stop) { work(stop); }) {}

App::~App() {
  stop();
}

void App::let_end(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  idle_.wait_until(lock, deadline, [this] { return live_.empty(); });
}

void App::stop() {
  std::vector<std::shared_ptr<LiveRun>> running;
  std::map<std::string, std::shared_ptr<ImportRun>> imports;
  {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    for (const auto& [id, run] : live_) running.push_back(run);
    cancel_titles();
    imports = std::move(imports_);
  }
  for (const auto& [id, run] : imports) run->stop();
  imports.clear();
  for (const auto& run : running) run->stop(LiveRun::Why::kShutdown);
  {
    std::unique_lock lock(mutex_);
    if (!idle_.wait_for(lock, kStopLimit, [this] { return live_.empty() && titles_.empty(); }))
      spdlog::error("{} runs of the chat did not end", live_.size());
  }
  changes_.close();
  worker_.request_stop();
  if (worker_.joinable()) worker_.join();
}

// ---- conversations that are not kept

chat::Store& App::store_of(const std::string& conversation) {
  return is_temporary(conversation) ? *temporary_ : *kept_;
}

chat::Store& App::store_for(const Wish& wish) {
  const std::string& conversation = wish.run.conversation.id;
  return wish.temporary && !kept_->conversation(conversation) ? *temporary_ : store_of(conversation);
}

bool App::is_temporary(const std::string& conversation) {
  const std::lock_guard lock(mutex_);
  return temporary_ids_.contains(conversation);
}

void App::is_temporary_now(const std::string& conversation) {
  const std::lock_guard lock(mutex_);
  temporary_ids_.insert(conversation);
}

void App::forget_temporary(const std::string& conversation) {
  const std::lock_guard lock(mutex_);
  temporary_ids_.erase(conversation);
}

std::string App::owner_of(const std::string& conversation) {
  return is_temporary(conversation) ? std::string(engine::kInMemoryOwner) + conversation : std::string();
}

void App::purge() {
  const std::int64_t now = base::unix_milliseconds();
  if (const auto gone = kept_->purge_deleted(now - chat::kUndoMilliseconds); !gone)
    spdlog::warn("old deletions could not be purged: {}", gone.error().message);
  const auto unused = temporary_->purge_unused(now - kTemporaryMilliseconds);
  if (!unused) return;
  for (const std::string& id : *unused) forget_temporary(id);
  tell_gone(*unused);
}

AppResult<std::shared_ptr<ImportRun>> App::import_run(const std::string& id, bool begin) {
  const std::lock_guard lock(mutex_);
  if (const auto found = imports_.find(id); found != imports_.end()) return found->second;
  if (!begin || stopping_) return std::unexpected(not_found(fmt::format("there is no import {:?} here", id)));
  const auto old = std::chrono::steady_clock::now() - kImportKept;
  std::erase_if(imports_,
                [&](const auto& entry) { return !entry.second->running() && entry.second->last_change() < old; });
  if (std::ranges::count_if(imports_, [](const auto& entry) { return entry.second->running(); }) >= kMostImports)
    return std::unexpected(AppError{.status = 409, .code = "queue_full", .message = "other imports are under way"});
  return imports_[id] = std::make_shared<ImportRun>(*kept_, [this] { changes_.publish({{"type", "reset"}}); });
}

// ---- settings, options, models

AppResult<Json> App::settings() {
  const auto stored = kept_->settings();
  if (!stored) return std::unexpected(from_refusal(stored.error()));
  return settings_json(*stored);
}

AppResult<AnswerOptions> App::options_for(const std::string& conversation_options, const Json& run_options) {
  const auto all = settings();
  if (!all) return std::unexpected(all.error());
  const Json own = stored_json(conversation_options);
  return answer_options(merged({&all->at("options"), &own, &run_options}));
}

AppResult<ModelUse> App::model_for(const AnswerOptions& options, ModelWait& wait) {
  auto model = use_model(*models_, options.model, {}, wait);
  if (model) return std::move(*model);
  const ApiError& error = model.error();
  const bool missing = error.code == "model_not_found", unfit = error.code == "model_unfit";
  return std::unexpected(AppError{.status = error.status < 500 || unfit ? 409 : error.status,
                                  .code = missing ? "model_missing"
                                          : unfit ? "model_unfit"
                                                  : "model_failed",
                                  .message = error.message,
                                  .param = "options.model"});
}

// ---- changes

Json App::conversation_json(const chat::Conversation& conversation) {
  return app::conversation_json(conversation, is_temporary(conversation.id));
}

void App::tell(const chat::Conversation& conversation) {
  changes_.publish({{"type", "conversation"}, {"conversation", conversation_json(conversation)}});
}

void App::tell_gone(const std::vector<std::string>& ids) {
  for (const std::string& id : ids) changes_.publish({{"type", "gone"}, {"id", id}});
}

// ---- the thread

void App::Desk::put(std::function<void()> task) {
  const std::lock_guard lock(mutex);
  tasks.push_back(std::move(task));
  changed.notify_one();
}

void App::work(std::stop_token stop) {
  auto purge_at = std::chrono::steady_clock::now() + kPurgeEvery;
  for (;;) {
    std::function<void()> task;
    {
      std::unique_lock lock(desk_->mutex);
      desk_->changed.wait_until(lock, stop, purge_at, [this] { return !desk_->tasks.empty(); });
      if (!desk_->tasks.empty()) {
        task = std::move(desk_->tasks.front());
        desk_->tasks.pop_front();
      } else if (stop.stop_requested()) {
        return;
      }
    }
    try {
      if (task) task();
      if (std::chrono::steady_clock::now() < purge_at) continue;
      purge_at = std::chrono::steady_clock::now() + kPurgeEvery;
      purge();
    } catch (const std::exception& failure) {
      spdlog::error("the chat's thread failed: {}", failure.what());
    }
  }
}

}  // namespace fathom::server::app
