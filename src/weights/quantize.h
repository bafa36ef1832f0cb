// Rows of fp32 to the element types of GGUF files, with as little squared error as a type allows. Codes and scales are
// searched for together; which tensor of a model gets which type is decided elsewhere (quantize_mixture.h), and what
// the bits mean is defined by the decoders in kernels.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

namespace fathom::weights {

// Whether rows can be written in this type: F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K.
bool can_quantize(base::DType type);

// The largest magnitude a type's rows can hold: beyond it a scale (or an F16 number) would be infinite.
float largest_magnitude(base::DType type);

// n numbers, whole blocks of them, finite and at most largest_magnitude, to base::row_bytes(type, n) bytes. The same
// numbers give the same bytes on every machine.
void quantize_row(base::DType type, const float* x, std::int64_t n, std::byte* out);

}  // namespace fathom::weights
