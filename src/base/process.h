// What this process takes of the machine now.
#pragma once

#include <cstdint>

namespace fathom::base {

struct ProcessUse {
  std::int64_t resident_bytes = 0, virtual_bytes = 0;
  std::int64_t open_files = 0, most_open_files = 0;  // descriptors, and how many there may be
  std::int64_t threads = 0;
  double cpu_seconds = 0;
};

// What the system does not tell stays 0.
ProcessUse process_use();

}  // namespace fathom::base
