// How codes and scales become the bytes of a block, whatever its format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/half.h"

namespace fathom::weights {

inline std::uint8_t byte_of(float code) {
  return static_cast<std::uint8_t>(static_cast<int>(code));
}

inline void put_half(std::byte* at, float v) {
  const std::uint16_t h = base::f32_to_f16(v);
  std::memcpy(at, &h, sizeof h);
}

}  // namespace fathom::weights
