// Inside the store: connections to read with. Each reading borrows one and gives it back; there are as many as were
// ever needed at once.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "chat/store.h"
#include "chat/store_rows.h"
#include "chat/writer.h"

namespace fathom::chat {

struct Store::Connections {
  std::mutex mutex;
  std::vector<std::unique_ptr<Database>> idle;  // under mutex
};

// One reading: a snapshot from its first statement to its end.
class Store::Reader {
 public:
  Reader(Connections* connections, std::unique_ptr<Database> database);
  Reader(Reader&&) noexcept = default;
  Reader& operator=(Reader&&) = delete;
  ~Reader();

  Database& operator*() { return *database_; }
  Database* operator->() { return database_.get(); }

  // What was found, unless the reading failed.
  template <class T>
  Outcome<T> give(Outcome<T> found) {
    if (auto failed = database_->take_failure(); !failed) return refuse(Problem::kStorage, failed.error().message);
    return found;
  }

 private:
  Connections* connections_;  // nullptr: not to be given back
  std::unique_ptr<Database> database_;
};

}  // namespace fathom::chat
