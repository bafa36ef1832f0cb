// The table of avx2.
#include "kernels/tables.h"

namespace fathom::kernels {

constinit const Table kAvx2Table = {.name = "avx2"};

}  // namespace fathom::kernels
