#include "files/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace fathom::files {

base::Result<std::optional<FolderLock>> FolderLock::try_lock(const std::string& folder, Mode mode) {
  const std::string path = folder + "/" + kFileName;
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd < 0) return base::fail("{}: cannot create it: {}", path, std::strerror(errno));
  FolderLock lock(fd);
  if (::flock(fd, (mode == Mode::kAlone ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK || errno == EINTR) return std::optional<FolderLock>();
    return base::fail("{}: cannot lock it: {}", path, std::strerror(errno));
  }
  // Whoever removed the folder meanwhile removed this file with it; a lock on it keeps nobody out.
  struct stat held{}, named{};
  const bool same = ::fstat(fd, &held) == 0 && ::stat(path.c_str(), &named) == 0 && held.st_ino == named.st_ino &&
                    held.st_dev == named.st_dev;
  if (!same) return std::optional<FolderLock>();
  return std::optional<FolderLock>(std::move(lock));
}

FolderLock::FolderLock(FolderLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FolderLock::~FolderLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace fathom::files
