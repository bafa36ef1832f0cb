// Masks over logits, a word of 32 tokens at a time: most of a grammar's words are all of one kind.
#include "engine/constraint.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace fathom::engine {

bool keep_allowed(std::span<float> logits, std::span<const std::uint32_t> allowed) {
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  constexpr std::size_t kBits = 32;
  bool any = false;
  for (std::size_t begin = 0; begin < logits.size(); begin += kBits) {
    const auto part = logits.subspan(begin, std::min(kBits, logits.size() - begin));
    const std::uint32_t word = begin / kBits < allowed.size() ? allowed[begin / kBits] : 0;
    if (word == 0) {
      std::ranges::fill(part, kNever);
      continue;
    }
    for (std::uint32_t banned = ~word; banned != 0; banned &= banned - 1) {
      const auto at = static_cast<std::size_t>(std::countr_zero(banned));
      if (at < part.size()) part[at] = kNever;
    }
    any = any || std::ranges::any_of(part, [](float logit) { return logit > kNever; });
  }
  return any;
}

}  // namespace fathom::engine
