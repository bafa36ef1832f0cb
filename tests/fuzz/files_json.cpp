// The JSON reader on text from a stranger: what it accepts must survive being written and read again.
#include <cstddef>
#include <cstdint>

#include "files/json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using fathom::files::parse_json;
  const auto json = parse_json({reinterpret_cast<const char*>(data), size}, "fuzz");
  if (!json) return 0;
  const std::string text = json->dump();
  const auto again = parse_json(text, "fuzz");
  if (!again || again->dump() != text) __builtin_trap();
  return 0;
}
