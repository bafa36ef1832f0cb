// One program at a time in a folder, or many that leave it as it is (shared): an flock on a file in it, gone with the
// process whatever happens to it.
#pragma once

#include <optional>
#include <string>

#include "base/error.h"

namespace fathom::files {

class FolderLock {
 public:
  enum class Mode { kAlone, kShared };
  // Nothing if another program holds it, so that this one may not. The folder must be there.
  static base::Result<std::optional<FolderLock>> try_lock(const std::string& folder, Mode mode = Mode::kAlone);

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
