// A file of the disk cache: whatever it holds, it is either exactly the page that was asked for or refused.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "engine/page_file.h"

namespace {

using fathom::engine::PageIdentity;

const fathom::tokens::TokenId kTokens[2] = {5, 6};
const PageIdentity kIdentity{.model = {1, 2}, .key = {3, 4}, .answer = true, .tokens = kTokens};
constexpr std::size_t kPageBytes = 24;

void write_over(int file, const std::uint8_t* data, std::size_t size) {
  if (ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != static_cast<ssize_t>(size)) std::abort();
}

}  // namespace

// The first byte says whether the rest is a whole file or is laid over a good one from some place on.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const int file = memfd_create("page", 0);
  if (size < 2) return 0;
  std::vector<std::byte> page(kPageBytes), good(kPageBytes, std::byte{9});
  if (data[0] == 0) {
    write_over(file, data + 1, size - 1);
  } else {
    if (ftruncate(file, 0) != 0 || lseek(file, 0, SEEK_SET) != 0) std::abort();
    if (!write_page_file(file, kIdentity, good)) std::abort();
    if (pwrite(file, data + 2, size - 2, data[1]) < 0) std::abort();
  }
  if (!read_page_file(file, kIdentity, page)) return 0;
  // Then the file is what writing this page would have given.
  std::vector<std::byte> was(fathom::engine::page_file_bytes(kIdentity, kPageBytes)), is(was.size());
  if (pread(file, was.data(), was.size(), 0) != static_cast<ssize_t>(was.size())) std::abort();
  if (ftruncate(file, 0) != 0 || lseek(file, 0, SEEK_SET) != 0) std::abort();
  if (!write_page_file(file, kIdentity, page)) std::abort();
  if (pread(file, is.data(), is.size(), 0) != static_cast<ssize_t>(is.size()) || was != is) std::abort();
  return 0;
}
