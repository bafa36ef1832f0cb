// The server's own database, keys and usage: its file and its schema. The chat app's conversations are not here.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "files/sqlite.h"

namespace fathom::server {

// One connection for all threads of a process; whoever uses it holds the lock meanwhile. Programs beside a running
// server
// (`fathom keys`, `fathom usage`) open the same file.
class ServerDatabase {
 public:
  // The file is made, readable by its owner alone, where it is not there. Errors: what SQLite says of it; a schema of a
  // later version, which is left as it is.
  static base::Result<std::shared_ptr<ServerDatabase>> open(const std::string& path);

  template <class Use>
  auto use(Use use_database) {
    const std::lock_guard lock(mutex_);
    return use_database(database_);
  }

 private:
  explicit ServerDatabase(files::Database database) : database_(std::move(database)) {}

  std::mutex mutex_;
  files::Database database_;
};

}  // namespace fathom::server
