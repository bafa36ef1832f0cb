// The types of values in a GGUF file's metadata, as their numbers stand in the file.
#pragma once

#include <cstdint>

namespace fathom::files::gguf_type {

enum Type : std::uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };

}  // namespace fathom::files::gguf_type
