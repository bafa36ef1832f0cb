// What this process may use of the machine: processors and memory within its affinity and its control group's limits,
// which in a container are far below what the hardware has.
#pragma once

#include <cstddef>
#include <string>

namespace fathom::base {

// Threads worth starting: processors of the affinity mask, at most the cgroup's quota rounded up. At least 1.
int usable_threads(const std::string& root = "/");

// Bytes this process could still take: the system's available memory, at most what the cgroup's limit leaves.
std::size_t usable_memory(const std::string& root = "/");

// Bytes of addresses that this process may still map, by its limit (ulimit -v); the largest number where there is none.
std::size_t usable_addresses();

}  // namespace fathom::base
