// The table of AVX2 with FMA and F16C. Built with those instructions' flags, so its one external symbol is the table,
// and it has no code of headers that other objects use (tests/check_isa_objects.sh).
#if defined(__x86_64__)

#include "kernels/fill_table.h"
#include "kernels/formats_avx2.h"
#include "kernels/tables.h"
#include "kernels/vector_avx2.h"

namespace fathom::kernels {

constinit const Table kAvx2Table = FillAll<Avx2>::table("avx2");

}  // namespace fathom::kernels

#endif
