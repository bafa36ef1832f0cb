// The one thread that writes. Work that waits for it is committed together: at once where somebody waits for the
// answer, otherwise a tenth of a second after the commit before, which is what a crash may cost an answer that is being
// made.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

#include "chat/outcome.h"
#include "files/sqlite.h"

namespace fathom::chat {

class Writer {
 public:
  static constexpr std::chrono::milliseconds kLongestWait{100};

  explicit Writer(files::Database database);
  ~Writer();  // what was handed over before is written

  // Returns when it is on disk, or why it is not; then nothing of this work is. `work` runs within a transaction.
  template <class T>
  Outcome<T> write(std::function<Outcome<T>(files::Database&)> work) {
    std::optional<Outcome<T>> outcome;
    std::promise<base::Result<void>> committed;
    auto ready = committed.get_future();
    add({.work =
             [&](files::Database& database) {
               outcome = work(database);
               return outcome->has_value();
             },
         .done = [&](base::Result<void> result) { committed.set_value(std::move(result)); },
         .urgent = true});
    const base::Result<void> result = ready.get();
    if (!result) return refuse(Problem::kStorage, result.error().message);
    return std::move(*outcome);
  }
  // Never waits. What fails is forgotten: the end of a run writes all of its text again.
  void write_soon(std::function<void(files::Database&)> work);

 private:
  struct Task {
    std::function<bool(files::Database&)> work;    // false: undo what it did
    std::function<void(base::Result<void>)> done;  // may be empty
    bool urgent = false;
  };
  void add(Task task);
  void loop(std::stop_token stop);
  std::vector<Task> take(std::stop_token stop);
  void commit(std::vector<Task> tasks);
  base::Result<bool> run(Task& task);

  files::Database database_;  // the thread's own
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<Task> tasks_;                          // under mutex_
  std::chrono::steady_clock::time_point committed_;  // under mutex_: when last
  std::chrono::steady_clock::time_point due_;        // under mutex_: of the first of tasks_
  bool urgent_ = false;                              // under mutex_: one of tasks_ is
  std::jthread thread_;                              // last: it uses everything above
};

}  // namespace fathom::chat
