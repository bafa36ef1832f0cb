// The server's own database, keys and usage: its file and its schema. The chat app's conversations are not here.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "files/folder_lock.h"
#include "files/sqlite.h"

namespace fathom::server {

// One connection for all threads of a process; whoever uses it holds the lock meanwhile. Programs beside a running
// server
// (`fathom keys`, `fathom usage`) open the same file.
class ServerDatabase {
 public:
  // The file is made, readable by its owner alone, where it is not there; its folder is held, so that nobody replaces
  // it meanwhile (`fathom restore`). Errors: what SQLite says of it; a schema of a later version, which is left as it
  // is; a folder that is being restored.
  static base::Result<std::shared_ptr<ServerDatabase>> open(const std::string& path);
  static std::int64_t schema_version();  // that of this program

  template <class Use>
  auto use(Use use_database) {
    const std::lock_guard lock(mutex_);
    return use_database(database_);
  }

 private:
  ServerDatabase(files::FolderLock lock, files::Database database)
      : lock_(std::move(lock)), database_(std::move(database)) {}

  files::FolderLock lock_;
  std::mutex mutex_;
  files::Database database_;
};

}  // namespace fathom::server
