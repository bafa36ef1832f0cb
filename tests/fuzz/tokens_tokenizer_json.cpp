// Any bytes as a tokenizer.json: reading must refuse or give a tokenizer that encodes and decodes without harm. The
// bytes are a tokenizer.json, a zero byte, and a text to encode.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tokens/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const std::size_t zero = all.find('\0');
  const std::string_view json = all.substr(0, zero);
  const std::string_view text = zero == all.npos ? "Hello w\xC3\xB6rld  123\n<think>\xFF" : all.substr(zero + 1);
  const auto tokenizer = fathom::tokens::Tokenizer::from_json(json, "");
  if (!tokenizer) return 0;
  for (const bool control : {false, true}) {
    const auto ids = tokenizer->encode(text, control);
    for (const auto id : ids) {
      if (!tokenizer->defined(id)) __builtin_trap();
      if (!control && tokenizer->is_control(id)) __builtin_trap();
    }
    fathom::tokens::Detokenizer detokenizer(*tokenizer, true);
    std::string streamed;
    for (const auto id : ids) streamed += detokenizer.push(id);
    streamed += detokenizer.flush();
    if (streamed != tokenizer->decode(ids, true)) __builtin_trap();
  }
  return 0;
}
