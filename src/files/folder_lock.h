// One program at a time in a folder: an flock on a file in it, gone with the process whatever happens to it.
#pragma once

#include <optional>
#include <string>

#include "base/error.h"

namespace fathom::files {

class FolderLock {
 public:
  // Nothing if another program holds it. The folder must be there.
  static base::Result<std::optional<FolderLock>> try_lock(const std::string& folder);

  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&&) = delete;
  FolderLock(const FolderLock&) = delete;
  ~FolderLock();

  static constexpr const char* kFileName = ".lock";

 private:
  explicit FolderLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace fathom::files
