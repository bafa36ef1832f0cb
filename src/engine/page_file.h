// A full page of cache as a file: a head that says what the page is, a checksum, the page's bytes. Nothing in a file is
// believed: the reader knows beforehand every byte of the head, and so the file's size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "engine/page_key.h"

namespace fathom::engine {

// What a page is.
struct PageIdentity {
  PageKey model, key;
  bool answer = false;  // it holds tokens of an answer
  std::span<const tokens::TokenId> tokens;
};

// Bytes of the file of a page.
std::uint64_t page_file_bytes(const PageIdentity& identity, std::size_t page_bytes);

// Reads an open file that must be of the page `expected` into `page`. Errors: what is not as expected (then `page`
// holds anything), or the system's.
base::Result<void> read_page_file(int file, const PageIdentity& expected, std::span<std::byte> page);

// Writes the whole file. Errors: the system's.
base::Result<void> write_page_file(int file, const PageIdentity& identity, std::span<const std::byte> page);

}  // namespace fathom::engine
