// Mapping files with mmap: a model's pages come in as they are touched and are shared by every process that reads it.
#include "files/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

namespace fathom::files {
namespace {

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

base::Result<MappedFile> MappedFile::open(const std::string& path) {
  // O_NONBLOCK: a named pipe must be refused, not waited for.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) return base::fail("{}: cannot open: {}", path, std::strerror(errno));
  struct stat status{};
  if (::fstat(file.fd, &status) != 0) return base::fail("{}: cannot read its size: {}", path, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) {
    return base::fail("{}: {}, expected a file", path, S_ISDIR(status.st_mode) ? "is a folder" : "is not a plain file");
  }
  MappedFile mapped;
  if (status.st_size == 0) return mapped;
  if (static_cast<std::uint64_t>(status.st_size) > PTRDIFF_MAX) return base::fail("{}: too large to map", path);
  const auto size = static_cast<std::size_t>(status.st_size);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.fd, 0);
  if (data == MAP_FAILED) return base::fail("{}: cannot map its {} bytes: {}", path, size, std::strerror(errno));
  mapped.data_ = static_cast<const std::byte*>(data);
  mapped.size_ = size;
  return mapped;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace fathom::files
