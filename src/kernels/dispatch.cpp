// Which table runs: asks the processor and the operating system once, honours FATHOM_KERNELS, and completes each table
// with the functions of the one below it. Also what no instruction set changes: the size of a cache row, and a weight's
// row with its block scales applied.
#include <cstdlib>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "base/error.h"
#include "kernels/tables.h"

namespace fathom::kernels {
namespace {

#if defined(__x86_64__)

// What the processor has and the operating system saves at a context switch.
struct Processor {
  bool avx2 = false;    // with FMA and half-precision conversion
  bool avx512 = false;  // F, BW, DQ, VL, VNNI and BF16
};

std::uint64_t saved_registers() {
  std::uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<std::uint64_t>(high) << 32 | low;
}

Processor ask_processor() {
  Processor p;
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return p;
  if (!(c & bit_OSXSAVE) || !(c & bit_AVX) || !(c & bit_FMA) || !(c & bit_F16C)) return p;
  const std::uint64_t saved = saved_registers();
  constexpr std::uint64_t kYmm = 0x6;   // SSE and AVX state
  constexpr std::uint64_t kZmm = 0xe6;  // and masks, upper halves, upper sixteen registers
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return p;
  p.avx2 = (saved & kYmm) == kYmm && (b & bit_AVX2);
  constexpr unsigned kWide = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
  const bool vnni = c & bit_AVX512VNNI;
  if (!p.avx2 || (saved & kZmm) != kZmm || (b & kWide) != kWide || !vnni) return p;
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d)) p.avx512 = a & bit_AVX512BF16;
  return p;
}

#endif

template <class F>
void fill(F& function, F below) {
  if (!function) function = below;
}

Table complete(Table t, const Table& below) {
  // Products read rows as their own table packs them, so a table that packs cannot borrow a product of a block format.
  for (std::size_t i = 0; i < base::kDTypeCount; ++i) {
    FATHOM_CHECK(!t.pack || t.linear[i] || !below.linear[i] || !base::is_block_format(static_cast<base::DType>(i)));
    fill(t.decode[i], below.decode[i]);
    fill(t.linear[i], below.linear[i]);
  }
  fill(t.packed_bytes, below.packed_bytes);
  fill(t.pack, below.pack);
  fill(t.linear_f32, below.linear_f32);
  fill(t.linear_transposed, below.linear_transposed);
  fill(t.rms_norm, below.rms_norm);
  fill(t.rope, below.rope);
  fill(t.swiglu, below.swiglu);
  fill(t.attention, below.attention);
  fill(t.store_row, below.store_row);
  fill(t.load_row, below.load_row);
  return t;
}

// The tables of this machine, slowest first, and the one in use.
struct Choice {
  Table tables[3];
  int count = 0;
  const Table* chosen = nullptr;
  std::string error;

  void add(const Table& t) {
    tables[count] = count == 0 ? t : complete(t, tables[count - 1]);
    chosen = &tables[count++];
  }
  const Table* find(std::string_view name) const {
    for (int i = 0; i < count; ++i)
      if (tables[i].name == name) return &tables[i];
    return nullptr;
  }
  Choice();
};

Choice::Choice() {
  add(kScalarTable);
#if defined(__x86_64__)
  const Processor processor = ask_processor();
  if (processor.avx2) add(kAvx2Table);
  if (processor.avx512) add(kAvx512Table);
#endif
  const char* wanted = std::getenv("FATHOM_KERNELS");
  if (!wanted || !*wanted) return;
  if (const Table* t = find(wanted)) {
    chosen = t;
    return;
  }
  std::string names;
  for (int i = 0; i < count; ++i) names.append(i ? ", " : "").append(tables[i].name);
  error = fmt::format("FATHOM_KERNELS={}: expected one of those that this machine runs: {}", wanted, names);
}

const Choice& choice() {
  static const Choice c;
  return c;
}

}  // namespace

const Table& table() {
  return *choice().chosen;
}
std::string_view selection_error() {
  return choice().error;
}
const Table* find_table(std::string_view name) {
  return choice().find(name);
}

std::size_t cache_row_bytes(base::DType type, std::int64_t n) {
  FATHOM_CHECK(n >= 0);
  const auto count = static_cast<std::size_t>(n);
  if (type == base::DType::kF32) return count * 4;
  if (type == base::DType::kBF16) return count * 2;
  FATHOM_CHECK(type == base::DType::kI8);
  return (count + 3) / 4 * 4 + (count + 63) / 64 * 4;
}

void dequantize_row(const Table& table, const base::Tensor& weight, std::int64_t r, float* out) {
  const auto decode = table.decode[static_cast<std::size_t>(weight.dtype)];
  FATHOM_CHECK(decode != nullptr);
  const std::int64_t n = weight.cols();
  decode(weight.row(r), n, out);
  if (!weight.scale) return;
  const std::int64_t block = weight.scale_block;
  const float* scales = weight.scale + (r + weight.scale_row) / block * ((n + block - 1) / block);
  for (std::int64_t i = 0; i < n; ++i) out[i] *= scales[i / block];
}

}  // namespace fathom::kernels
