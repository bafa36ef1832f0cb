// Brings mapped bytes into memory in order, so that a cold file is read at the disk's speed and not page by page in the
// order in which a model happens to touch it.
#pragma once

#include <cstddef>
#include <span>

#include "base/function_ref.h"

namespace fathom::base {

// Reads what is not in memory yet of a mapped range; returns at once where all of it is. `read` is called with the
// number of bytes that are there after each window.
void make_resident(std::span<const std::byte> bytes, FunctionRef<void(std::size_t)> read);

}  // namespace fathom::base
