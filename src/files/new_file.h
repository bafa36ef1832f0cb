// A file that appears under its name only when it is whole: written beside it under a temporary name, synced, renamed.
// Destroyed before `commit`, it leaves nothing behind.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace fathom::files {

class NewFile {
 public:
  static base::Result<NewFile> create(const std::string& path);

  NewFile(NewFile&& other) noexcept;
  NewFile& operator=(NewFile&&) = delete;
  NewFile(const NewFile&) = delete;
  ~NewFile();

  // Takes the room for `bytes` bytes now, so that a full disk is known before hours of work. File systems that cannot
  // do so are left to fail in `write`.
  base::Result<void> reserve(std::uint64_t bytes);
  base::Result<void> write(std::span<const std::byte> bytes);
  base::Result<void> write(std::string_view text) { return write(std::as_bytes(std::span(text))); }
  base::Result<void> commit();

  std::uint64_t size() const { return size_; }

 private:
  NewFile(std::string path, std::string temporary, int fd);
  std::unexpected<base::Error> failed(int problem, std::uint64_t wanted) const;

  std::string path_, temporary_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace fathom::files
