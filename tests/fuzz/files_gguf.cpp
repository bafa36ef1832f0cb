// The GGUF reader on bytes from a stranger: whatever it accepts must be readable to the last byte.
#include <cstddef>
#include <cstdint>
#include <variant>

#include "files/gguf.h"

namespace {

// Keeps the reads from being optimised away.
volatile std::size_t sink;

template <class Bytes>
void touch(const Bytes& bytes) {
  std::size_t sum = 0;
  for (const auto byte : bytes) sum += static_cast<std::size_t>(byte);
  sink = sink + sum;
}

void touch_value(const fathom::files::GgufValue& value) {
  if (const auto* text = std::get_if<std::string_view>(&value)) touch(*text);
  const auto* array = std::get_if<fathom::files::GgufArray>(&value);
  if (array == nullptr) return;
  if (const auto* texts = std::get_if<std::vector<std::string_view>>(array))
    for (const auto text : *texts) touch(text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto gguf = fathom::files::Gguf::parse(std::as_bytes(std::span(data, size)), "fuzz");
  if (!gguf) {
    touch(gguf.error().message);
    return 0;
  }
  for (const auto& [key, value] : gguf->values()) {
    touch(key);
    touch_value(value);
    touch(gguf->encoded(key));
    sink = sink + static_cast<std::size_t>(gguf->integer(key).value_or(0)) + gguf->strings(key).size();
    sink = sink + gguf->number(key).has_value() + gguf->boolean(key).has_value() + gguf->string(key).has_value();
  }
  for (const auto& [name, tensor] : gguf->tensors()) {
    if (gguf->tensor(name) == nullptr) __builtin_trap();
    touch(std::span(tensor.data, tensor.bytes()));
    if (static_cast<std::size_t>(tensor.rows()) * tensor.row_stride() != tensor.bytes()) __builtin_trap();
  }
  return 0;
}
