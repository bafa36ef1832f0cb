#include "base/resident.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace fathom::base {

void make_resident(std::span<const std::byte> bytes, FunctionRef<void(std::size_t)> read) {
  constexpr std::size_t kWindow = std::size_t{32} << 20;
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> there(kWindow / page + 2);
  for (std::size_t at = 0; at < bytes.size(); at += kWindow) {
    const auto window = bytes.subspan(at, std::min(kWindow, bytes.size() - at));
    const auto first = reinterpret_cast<std::uintptr_t>(window.data()) / page * page;
    const std::size_t length = reinterpret_cast<std::uintptr_t>(window.data() + window.size()) - first;
    auto* start = reinterpret_cast<void*>(first);
    const std::size_t pages = (length + page - 1) / page;
    // Where the system does not say (not a mapping), reading costs little.
    const bool known = mincore(start, length, there.data()) == 0;
    if (!known || std::any_of(there.begin(), there.begin() + static_cast<std::ptrdiff_t>(pages),
                              [](unsigned char c) { return (c & 1) == 0; })) {
      madvise(start, length, MADV_WILLNEED);
      for (std::size_t i = 0; i < window.size(); i += page)
        static_cast<void>(static_cast<std::byte>(*static_cast<const volatile std::byte*>(window.data() + i)));
    }
    read(window.size());
  }
}

}  // namespace fathom::base
