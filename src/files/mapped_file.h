// A file mapped read-only into memory. Owns the mapping, hands out spans.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/error.h"

namespace fathom::files {

class MappedFile {
 public:
  // Errors: not there, not a regular file, not readable. An empty file maps to an empty span.
  static base::Result<MappedFile> open(const std::string& path);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace fathom::files
