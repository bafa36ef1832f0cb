// Whose a run is (Run::owner), where that says more than whom its kept pages serve.
#pragma once

#include <string_view>

namespace fathom::engine {

// What is computed for an owner whose name begins so is kept in memory alone, never on disk.
inline constexpr std::string_view kInMemoryOwner = "memory:";

inline bool stays_in_memory(std::string_view owner) {
  return owner.starts_with(kInMemoryOwner);
}

}  // namespace fathom::engine
