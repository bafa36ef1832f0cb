// The chat app behind its API: what is kept, what is temporary, the runs under way, and who is told of changes. One for
// a server; everything may be called from any thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "chat/store.h"
#include "server/app/answer_options.h"
#include "server/app/changes.h"
#include "server/app/import_run.h"
#include "server/app/live_run.h"
#include "server/app/model_library.h"
#include "server/app/prompt.h"
#include "server/routes.h"

namespace fathom::server::app {

inline constexpr std::size_t kMessageBytes = std::size_t{4} << 20;

class App {
 public:
  struct Options {
    std::shared_ptr<chat::Store> kept;  // the database; temporary conversations get one in memory
    std::shared_ptr<ModelPool> models;
    std::string version;
    std::string folder;                  // where models are kept
    std::shared_ptr<Metering> metering;  // where runs are booked; none: nowhere
    ModelPlaces places = {};             // whence more models come
  };
  // Errors: as Store::open.
  static base::Result<std::unique_ptr<App>> make(Options options);
  ~App();  // stops

  // A request whose path starts with /app/.
  Reply answer(const Request& request, ModelWait& wait);
  // Waits for what runs to end by itself.
  void let_end(std::chrono::steady_clock::time_point deadline);
  // Ends what runs, as interrupted, and all streams.
  void stop();

  // ---- for the routes
  chat::Store& kept() { return *kept_; }
  ModelLibrary& library() { return *library_; }
  UsageLedger* ledger() {
    return metering_ ? metering_->ledger() : nullptr;
  }  // nullptr: usage is not kept; keys as well
  KeyStore* keys() { return metering_ ? metering_->keys() : nullptr; }
  const std::string& version() const { return version_; }
  const std::string& folder() const { return folder_; }
  Changes& changes() { return changes_; }
  // Where a conversation is, or would be looked for.
  chat::Store& store_of(const std::string& conversation);
  bool is_temporary(const std::string& conversation);
  // Where a run's conversation is, or will be.
  chat::Store& store_for(const Wish& wish);
  chat::Store& temporary() { return *temporary_; }
  void is_temporary_now(const std::string& conversation);
  void forget_temporary(const std::string& conversation);
  // engine::Run::owner: what is computed of a temporary conversation serves it alone, in memory.
  std::string owner_of(const std::string& conversation);
  std::vector<chat::Store*> stores() { return {kept_.get(), temporary_.get()}; }

  AppResult<Json> settings();  // the contract's Settings, defaults filled in
  // How a conversation is answered: settings, then its own options, then those of a run.
  AppResult<AnswerOptions> options_for(const std::string& conversation_options, const Json& run_options);
  AppResult<ModelUse> model_for(const AnswerOptions& options, ModelWait& wait);

  // The run that is under way, or none.
  std::shared_ptr<LiveRun> live(const std::string& run);
  // One that is over, from what is stored.
  AppResult<std::pair<chat::Run, RunLog>> ended_run(const std::string& id);
  AppResult<Json> show_run(const std::string& id);
  // Stores it and begins it. The second says whether it is new.
  AppResult<std::pair<Json, bool>> start(Wish wish, ModelWait& wait);
  AppResult<Json> check(const Wish& wish, ModelWait& wait);
  void stop_run_in(const chat::Conversation& conversation);
  // Has the model name a conversation; nothing where that is under way.
  AppResult<bool> make_title(const std::string& conversation, ModelWait& wait);

  // An import under way or over; where there is none and `begin`, a new one.
  AppResult<std::shared_ptr<ImportRun>> import_run(const std::string& id, bool begin);

  Json conversation_json(const chat::Conversation& conversation);
  void tell(const chat::Conversation& conversation);  // a `conversation` change
  void tell_gone(const std::vector<std::string>& ids);

 private:
  struct Prepared {
    AnswerOptions options;
    ModelUse model;
    ReadyPrompt prompt;
    Json sources;          // of a new answer to a question with files
    chat::Message before;  // the answer that is continued
  };
  // Work for the thread that follows runs to their end. It outlives what the engine still holds.
  struct Desk {
    std::mutex mutex;
    std::condition_variable_any changed;
    std::deque<std::function<void()>> tasks;  // under mutex
    void put(std::function<void()> task);
  };
  struct TitleRun;

  App(Options options, std::unique_ptr<chat::Store> temporary);
  AppResult<Prepared> prepare(const Wish& wish, ModelWait& wait);
  void submit(const std::shared_ptr<LiveRun>& run, engine::AnswerRequest request);
  void finish(const std::shared_ptr<LiveRun>& run);
  void book(const std::string& model, const UsageCounts& used);
  void cancel_titles();
  void name_after(const chat::Conversation& conversation);
  void end_title(const std::shared_ptr<TitleRun>& title);
  void work(std::stop_token stop);
  void purge();

  std::shared_ptr<chat::Store> kept_;
  std::unique_ptr<chat::Store> temporary_;
  std::shared_ptr<ModelPool> models_;
  std::string version_, folder_;
  std::shared_ptr<Metering> metering_;
  Changes changes_;
  std::unique_ptr<ModelLibrary> library_;  // tells changes_

  std::mutex start_mutex_;  // one start at a time: what is stored and what is live agree
  std::mutex mutex_;        // of what follows
  std::condition_variable idle_;
  std::map<std::string, std::shared_ptr<LiveRun>> live_;
  std::map<std::string, std::shared_ptr<TitleRun>> titles_;  // by conversation
  std::set<std::string> temporary_ids_;
  std::map<std::string, std::shared_ptr<ImportRun>> imports_;
  bool stopping_ = false;

  std::shared_ptr<Desk> desk_ = std::make_shared<Desk>();
  std::jthread worker_;  // last: it uses everything above
};

}  // namespace fathom::server::app
