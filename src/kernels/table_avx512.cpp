// The table of AVX512.
#include "kernels/tables.h"

namespace fathom::kernels {

constinit const Table kAvx512Table = {.name = "avx512"};

}  // namespace fathom::kernels
