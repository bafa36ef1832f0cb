// The safetensors reader on bytes from a stranger: whatever it accepts must be readable to the last byte.
#include <cstddef>
#include <cstdint>

#include "files/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static volatile std::size_t sink;
  const auto opened = fathom::files::Safetensors::parse(std::as_bytes(std::span(data, size)), "fuzz");
  if (!opened) {
    sink = sink + opened.error().message.size();
    return 0;
  }
  for (const auto& [name, tensor] : opened->tensors()) {
    if (opened->tensor(name) == nullptr) __builtin_trap();
    std::size_t sum = 0;
    for (const auto byte : std::span(tensor.data, tensor.bytes())) sum += static_cast<std::size_t>(byte);
    sink = sink + sum;
    if (tensor.elements() < 0) __builtin_trap();
  }
  return 0;
}
