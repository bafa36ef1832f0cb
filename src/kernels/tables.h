// The tables behind table.h, for dispatch.cpp alone. Each is a constant filled at compile time in the one object that
// is built with its instruction set's flags; nothing else of such an object is visible outside it.
#pragma once

#include "kernels/table.h"

namespace fathom::kernels {

extern const Table kScalarTable;
#if defined(__x86_64__)
extern const Table kAvx2Table;
extern const Table kAvx512Table;
#endif

}  // namespace fathom::kernels
