// The table of AVX-512 (F, BW, DQ, VL, VNNI, BF16). Built with those instructions' flags, so its one external symbol is
// the table, and it has no code of headers that other objects use (tests/check_isa_objects.sh).
#if defined(__x86_64__)

// GCC 12 leaves the sources of its own unmasked intrinsics undefined on purpose, and then warns of it (its bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

#include "kernels/fill_table.h"
#include "kernels/formats_avx512.h"
#include "kernels/tables.h"
#include "kernels/vector_avx512.h"

namespace fathom::kernels {

constinit const Table kAvx512Table = FillAll<Avx512>::table("avx512");

}  // namespace fathom::kernels

#endif
