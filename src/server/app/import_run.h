// An import under way: the page hands over the file piece by piece, a thread reads and keeps what comes, and no more
// than a piece and some conversations are in memory.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "chat/import_reader.h"
#include "chat/store.h"
#include "server/app/call.h"

namespace fathom::server::app {

class ImportRun : public std::enable_shared_from_this<ImportRun> {
 public:
  // `store` must outlive it. `ended` is called on the run's thread when the last conversation is kept.
  ImportRun(chat::Store& store, std::function<void()> ended);
  ~ImportRun();  // stops

  // The file's bytes from `from` on; `last`: nothing follows. Answered with the import's state when they were read, and
  // the last ones when all is kept. The same piece again is answered the same way; one that does not follow is refused.
  Reply offer(std::uint64_t from, std::string bytes, bool last);
  Json json() const;  // the contract's Import
  bool running() const;
  std::chrono::steady_clock::time_point last_change() const;
  void stop();  // returns when nothing of it runs any more

 private:
  class PieceReply;
  void read();
  std::string more();
  bool take(chat::ImportedConversation imported);
  bool keep();
  void skip(std::string line);
  void end(std::string error);
  Json json_now() const;  // with the mutex held
  void wake();            // with the mutex held

  chat::Store& store_;
  const std::function<void()> ended_;
  std::vector<chat::ImportedConversation> batch_;  // the thread's own, as the next
  std::size_t batch_bytes_ = 0;

  mutable std::mutex mutex_;  // of what follows
  std::condition_variable_any changed_;
  std::optional<std::string> piece_;  // handed over and not taken yet
  std::uint64_t received_ = 0, read_ = 0;
  bool complete_ = false, stopping_ = false;
  std::string state_ = "running", source_ = "unknown", error_;
  std::int64_t conversations_ = 0, messages_ = 0;
  std::vector<std::string> skipped_;
  std::chrono::steady_clock::time_point last_change_ = std::chrono::steady_clock::now();
  std::map<const void*, std::function<void()>> wakes_;

  std::jthread thread_;  // last: it uses everything above
};

}  // namespace fathom::server::app
