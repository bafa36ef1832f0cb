// The hub's listing and the names people type, from a stranger: no path that comes out may leave its folder.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "files/hub.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fathom::files;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  HubName name{.owner = "o", .repo = "r"};
  if (const auto typed = parse_hub_name(text)) {
    if (typed->repo_id().find("..") != std::string::npos || typed->owner.find('/') != std::string::npos)
      __builtin_trap();
    const auto again = parse_hub_name(typed->text());
    if (!again || again->text() != typed->text()) __builtin_trap();
  }
  const auto listing = parse_listing(text, name);
  if (!listing) return 0;
  for (const char* choice : {"", "Q4_K_M", "m-00001-of-00002.gguf"}) {
    name.choice = choice;
    const auto files = choose_files(*listing, name);
    if (!files) continue;
    for (const auto& file : *files) {
      if (file.name().empty() || file.name().find('/') != std::string_view::npos || file.path.starts_with('/') ||
          file.path.starts_with('.') || file.path.find("/.") != std::string::npos) {
        __builtin_trap();
      }
      if (!is_hex(file.digest.hex, 64) && !is_hex(file.digest.hex, 40)) __builtin_trap();
    }
  }
  return 0;
}
