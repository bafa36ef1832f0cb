// A file's bytes to text and passages.
#include <cstdint>
#include <cstdlib>

#include "chat/file_text.h"
#include "chat/passages.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = fathom::chat::read_file_text({reinterpret_cast<const char*>(data), size});
  if (!text) return 0;
  for (const bool pages : {false, true}) {
    std::size_t at = 0;
    for (const auto& passage : fathom::chat::cut_into_passages(*text, pages)) {
      if (passage.from != at || passage.to <= at || passage.to - at > fathom::chat::kPassageBytes) std::abort();
      at = passage.to;
    }
    if (at != text->size()) std::abort();
  }
  return 0;
}
