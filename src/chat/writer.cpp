#include "chat/writer.h"

#include <sqlite3.h>

#include <algorithm>

namespace fathom::chat {

Writer::Writer(files::Database database)
    : database_(std::move(database)), thread_([this](std::stop_token stop) { loop(stop); }) {}

Writer::~Writer() {
  thread_.request_stop();
  thread_.join();
}

void Writer::write_soon(std::function<void(files::Database&)> work) {
  add({.work = [work = std::move(work)](files::Database& database) {
    work(database);
    return true;
  }});
}

void Writer::add(Task task) {
  const std::lock_guard lock(mutex_);
  if (tasks_.empty()) due_ = std::max(std::chrono::steady_clock::now(), committed_ + kLongestWait);
  urgent_ = urgent_ || task.urgent;
  tasks_.push_back(std::move(task));
  if (tasks_.size() == 1 || urgent_) changed_.notify_one();
}

// Empty: the end.
std::vector<Writer::Task> Writer::take(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, stop, [this] { return !tasks_.empty(); });
  changed_.wait_until(lock, stop, due_, [this] { return urgent_; });
  urgent_ = false;
  return std::exchange(tasks_, {});
}

void Writer::loop(std::stop_token stop) {
  for (;;) {
    std::vector<Task> tasks = take(stop);
    if (tasks.empty()) return;
    commit(std::move(tasks));
    const std::lock_guard lock(mutex_);
    committed_ = std::chrono::steady_clock::now();
  }
}

// Within a savepoint, so that what one work did is undone without the others'. Gives whether it is to stay.
base::Result<bool> Writer::run(Task& task) {
  database_.run("SAVEPOINT work");
  const bool keep = task.work(database_);
  auto result = database_.take_failure();
  if (!result || !keep) database_.run("ROLLBACK TO work");
  database_.run("RELEASE work");
  if (auto undone = database_.take_failure(); !undone && result) result = undone;
  if (!result) return std::unexpected(result.error());
  return keep;
}

void Writer::commit(std::vector<Task> tasks) {
  std::vector<base::Result<void>> results(tasks.size());
  base::Result<void> whole;
  {
    files::Transaction transaction(database_);
    for (std::size_t i = 0; i < tasks.size() && whole; ++i) {
      if (const auto ran = run(tasks[i]); !ran) results[i] = std::unexpected(ran.error());
      // A full disk, for one, ends the transaction and takes along what the others did.
      if (sqlite3_get_autocommit(database_.handle()) != 0)
        whole = results[i] ? base::fail("{}: the transaction was undone", database_.path()) : results[i];
    }
    transaction.commit();
    if (auto committed = database_.take_failure(); !committed && whole) whole = committed;
  }
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    if (tasks[i].done) tasks[i].done(whole ? results[i] : whole);
  }
}

}  // namespace fathom::chat
