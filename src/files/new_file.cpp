#include "files/new_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <random>
#include <utility>

namespace fathom::files {

base::Result<NewFile> NewFile::create(const std::string& path) {
  std::random_device random;
  for (int attempt = 0; attempt < 16; ++attempt) {
    auto temporary = fmt::format("{}.{:08x}.part", path, random());
    const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0) return NewFile(path, std::move(temporary), fd);
    if (errno != EEXIST) break;
  }
  return base::fail("{}: cannot create it: {}", path, std::strerror(errno));
}

NewFile::NewFile(std::string path, std::string temporary, int fd)
    : path_(std::move(path)), temporary_(std::move(temporary)), fd_(fd) {}

NewFile::NewFile(NewFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      fd_(std::exchange(other.fd_, -1)),
      size_(other.size_) {}

NewFile::~NewFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

std::unexpected<base::Error> NewFile::failed(int problem, std::uint64_t wanted) const {
  if (problem == ENOSPC || problem == EDQUOT) {
    return base::fail("{}: the disk is full: the file needs {} bytes or more; free some or write elsewhere", path_,
                      wanted);
  }
  if (problem == EFBIG)
    return base::fail("{}: {} bytes are more than this file system lets a file have", path_, wanted);
  return base::fail("{}: cannot write: {}", path_, std::strerror(problem));
}

base::Result<void> NewFile::reserve(std::uint64_t bytes) {
  if (bytes == 0) return {};
  // KEEP_SIZE: the file's length stays what was written, should the guess have been too high.
  if (::fallocate(fd_, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes)) == 0) return {};
  if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG) return failed(errno, bytes);
  return {};
}

base::Result<void> NewFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto done = ::write(fd_, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return failed(errno, size_ + bytes.size());
    size_ += static_cast<std::uint64_t>(done);
    bytes = bytes.subspan(static_cast<std::size_t>(done));
  }
  return {};
}

base::Result<void> NewFile::commit() {
  FATHOM_CHECK(fd_ >= 0);
  if (::fsync(fd_) != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) return failed(errno, size_);
  ::close(std::exchange(fd_, -1));
  // The new name itself must survive a power cut too; where folders cannot be synced there is nothing more to do.
  const auto folder = std::filesystem::path(path_).parent_path();
  const int fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    ::fsync(fd);
    ::close(fd);
  }
  return {};
}

}  // namespace fathom::files
