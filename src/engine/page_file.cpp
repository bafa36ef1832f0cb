#include "engine/page_file.h"

#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

namespace fathom::engine {

using base::fail;
using base::Result;

namespace {

// Numbers are stored as the processor has them: a file from one of the other kind does not begin like this.
struct Head {
  char magic[8] = {'F', 'A', 'T', 'H', 'O', 'M', 'P', 'G'};
  std::uint32_t version = 1;
  std::uint32_t tokens = 0;
  std::uint64_t page_bytes = 0;
  PageKey model, key;
  std::uint64_t answer = 0;
};
static_assert(sizeof(Head) == 64);

using Checksum = std::uint64_t;

// Everything before the checksum.
std::vector<std::byte> head_of(const PageIdentity& identity, std::size_t page_bytes) {
  const Head head{.tokens = static_cast<std::uint32_t>(identity.tokens.size()),
                  .page_bytes = page_bytes,
                  .model = identity.model,
                  .key = identity.key,
                  .answer = identity.answer};
  std::vector<std::byte> bytes(sizeof head + identity.tokens.size_bytes());
  std::memcpy(bytes.data(), &head, sizeof head);
  std::ranges::copy(std::as_bytes(identity.tokens), bytes.begin() + sizeof head);
  return bytes;
}

Result<void> read_all(int file, std::span<std::byte> out, std::uint64_t at) {
  while (!out.empty()) {
    const ssize_t n = pread(file, out.data(), out.size(), static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail("reading failed: {}", std::strerror(errno));
    if (n == 0) return fail("the file ends at byte {}", at);
    out = out.subspan(static_cast<std::size_t>(n));
    at += static_cast<std::uint64_t>(n);
  }
  return {};
}

Result<void> write_all(int file, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(file, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail("writing failed: {}", std::strerror(errno));
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

}  // namespace

std::uint64_t page_file_bytes(const PageIdentity& identity, std::size_t page_bytes) {
  return sizeof(Head) + identity.tokens.size_bytes() + sizeof(Checksum) + page_bytes;
}

Result<void> read_page_file(int file, const PageIdentity& expected, std::span<std::byte> page) {
  struct stat status{};
  if (fstat(file, &status) != 0) return fail("{}", std::strerror(errno));
  const std::uint64_t size = page_file_bytes(expected, page.size());
  if (static_cast<std::uint64_t>(status.st_size) != size)
    return fail("the file has {} bytes, expected {}", status.st_size, size);
  const std::vector<std::byte> wanted = head_of(expected, page.size());
  std::vector<std::byte> head(wanted.size());
  if (auto ok = read_all(file, head, 0); !ok) return ok;
  if (head != wanted) return fail("the file is of another page, model or version");
  Checksum checksum = 0;
  if (auto ok = read_all(file, std::as_writable_bytes(std::span(&checksum, 1)), head.size()); !ok) return ok;
  if (auto ok = read_all(file, page, head.size() + sizeof checksum); !ok) return ok;
  if (XXH3_64bits(page.data(), page.size()) != checksum) return fail("the file is damaged: its checksum is another");
  return {};
}

Result<void> write_page_file(int file, const PageIdentity& identity, std::span<const std::byte> page) {
  const Checksum checksum = XXH3_64bits(page.data(), page.size());
  if (auto ok = write_all(file, head_of(identity, page.size())); !ok) return ok;
  if (auto ok = write_all(file, std::as_bytes(std::span(&checksum, 1))); !ok) return ok;
  return write_all(file, page);
}

}  // namespace fathom::engine
