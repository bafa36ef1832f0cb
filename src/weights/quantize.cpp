#include "weights/quantize.h"

#include "base/error.h"
#include "weights/quantize_fit.h"
#include "weights/quantize_small_blocks.h"
#include "weights/quantize_super_blocks.h"

namespace fathom::weights {
namespace {

using base::DType;

using Block = void (*)(const float* x, std::byte* block);

Block block_of(DType type) {
  switch (type) {
    case DType::kQ4_0:
      return quantize_q4_0;
    case DType::kQ4_1:
      return quantize_q4_1;
    case DType::kQ5_0:
      return quantize_q5_0;
    case DType::kQ5_1:
      return quantize_q5_1;
    case DType::kQ8_0:
      return quantize_q8_0;
    case DType::kQ4_K:
      return quantize_q4_k;
    case DType::kQ5_K:
      return quantize_q5_k;
    case DType::kQ6_K:
      return quantize_q6_k;
    default:
      return nullptr;
  }
}

void put_sixteen_bits(const float* x, std::int64_t n, std::byte* out, std::uint16_t (*convert)(float)) {
  for (std::int64_t i = 0; i < n; ++i) {
    const std::uint16_t h = convert(x[i]);
    std::memcpy(out + 2 * i, &h, sizeof h);
  }
}

}  // namespace

bool can_quantize(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16 || block_of(type) != nullptr;
}

float largest_magnitude(DType type) {
  constexpr float kMostFloat = 0x1.fffffep127f, kMostBFloat = 0x1.fep127f;
  return type == DType::kF32 ? kMostFloat : type == DType::kBF16 ? kMostBFloat : kLargestHalf;
}

void quantize_row(DType type, const float* x, std::int64_t n, std::byte* out) {
  FATHOM_CHECK(can_quantize(type) && n % base::info(type).block_elems == 0);
  if (type == DType::kF32) {
    std::memcpy(out, x, static_cast<std::size_t>(n) * sizeof(float));
  } else if (type == DType::kF16) {
    put_sixteen_bits(x, n, out, base::f32_to_f16);
  } else if (type == DType::kBF16) {
    put_sixteen_bits(x, n, out, base::f32_to_bf16);
  } else {
    const Block block = block_of(type);
    const auto& format = base::info(type);
    for (std::int64_t i = 0; i < n; i += format.block_elems, out += format.block_bytes) block(x + i, out);
  }
}

}  // namespace fathom::weights
