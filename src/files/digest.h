// Digests of files as they arrive: SHA-256 as the hub records it for large files, and git's object id (SHA-1 of a short
// heading and the bytes), which is all it records for small ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/function_ref.h"

struct evp_md_ctx_st;

namespace fathom::files {

// Which digest and what it must be, in lower-case hexadecimal: 64 letters for SHA-256, 40 for a git blob.
struct ExpectedDigest {
  std::string hex;
  std::uint64_t bytes = 0;  // of the whole file; part of what git hashes

  bool is_git() const { return hex.size() == 40; }
  std::string_view kind() const { return is_git() ? "git object id" : "SHA-256"; }
};

class Digest {
 public:
  // As `expected` says; its bytes count for a git blob.
  explicit Digest(const ExpectedDigest& expected);

  void add(std::span<const std::byte> bytes);
  std::uint64_t bytes() const { return bytes_; }
  std::string hex();  // ends the digest

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
  std::uint64_t bytes_ = 0;
};

bool is_hex(std::string_view text, std::size_t length);

// Adds the first `bytes` bytes of a file, calling `progress` with the bytes read so far about every megabyte.
// Errors: the file cannot be read or is shorter; stopped.
base::Result<void> digest_file(const std::string& path, std::uint64_t bytes, Digest& digest, std::stop_token stop,
                               base::FunctionRef<void(std::uint64_t)> progress);

// Whether a file is the one expected, by size first.
base::Result<bool> file_matches(const std::string& path, const ExpectedDigest& expected, std::stop_token stop);

}  // namespace fathom::files
