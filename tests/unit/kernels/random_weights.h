// Random tensors of every storage format, the value of each of their elements computed one at a time from the layout
// tables of the formats (in doubles, with no code shared with src/kernels), and memory that ends at a page nobody may
// touch, so that a kernel that reads past its input dies here.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "kernels/table.h"

namespace fathom::kernels::test {

using base::DType;

inline const std::vector<DType>& block_types() {
  static const std::vector<DType> types = {DType::kQ4_0,   DType::kQ4_1,   DType::kQ5_0, DType::kQ5_1, DType::kQ8_0,
                                           DType::kQ2_K,   DType::kQ3_K,   DType::kQ4_K, DType::kQ5_K, DType::kQ6_K,
                                           DType::kIQ4_NL, DType::kIQ4_XS, DType::kMXFP4};
  return types;
}

inline const std::vector<DType>& plain_types() {
  static const std::vector<DType> types = {DType::kF32, DType::kF16, DType::kBF16, DType::kF8E4M3};
  return types;
}

inline std::string name_of(DType type) {
  return std::string(base::info(type).name);
}

// Bytes whose last one lies just below an inaccessible page.
class GuardedBytes {
 public:
  explicit GuardedBytes(std::size_t size) : size_(size) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t readable = (size + page - 1) / page * page;
    mapped_ = readable + page;
    void* p = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FATHOM_CHECK(p != MAP_FAILED);
    base_ = static_cast<std::byte*>(p);
    FATHOM_CHECK(mprotect(base_ + readable, page, PROT_NONE) == 0);
    data_ = base_ + (readable - size);
  }
  GuardedBytes(GuardedBytes&& other) noexcept { swap(other); }
  GuardedBytes& operator=(GuardedBytes&& other) noexcept {
    swap(other);
    return *this;
  }
  ~GuardedBytes() {
    if (base_) munmap(base_, mapped_);
  }
  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  float* floats() const { return reinterpret_cast<float*>(data_); }

 private:
  void swap(GuardedBytes& other) {
    std::swap(base_, other.base_);
    std::swap(data_, other.data_);
    std::swap(mapped_, other.mapped_);
    std::swap(size_, other.size_);
  }
  std::byte* base_ = nullptr;
  std::byte* data_ = nullptr;
  std::size_t mapped_ = 0, size_ = 0;
};

inline GuardedBytes guarded_floats(std::size_t n) {
  return GuardedBytes(n * sizeof(float));
}

// Standard normal numbers, some of them zero.
inline void fill_normal(float* x, std::size_t n, std::mt19937& random) {
  std::normal_distribution<float> normal;
  for (std::size_t i = 0; i < n; ++i) x[i] = random() % 16 == 0 ? 0.0f : normal(random);
}

// Offsets of the fp16 fields of a block.
inline std::vector<std::size_t> half_fields(DType type) {
  switch (type) {
    case DType::kQ4_0:
    case DType::kQ5_0:
    case DType::kQ8_0:
    case DType::kIQ4_NL:
    case DType::kIQ4_XS:
      return {0};
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
      return {0, 2};
    case DType::kQ2_K:
      return {80, 82};
    case DType::kQ3_K:
      return {108};
    case DType::kQ6_K:
      return {208};
    default:
      return {};
  }
}

// Any bits, except that scales are of a size that keeps products finite: fp16 fields lie in +-[2^-11, 2^-3), MXFP4's
// exponents in 2^-16 .. 2^-1; plain floats are normal numbers; 8-bit floats are no NaN.
inline void fill_weights(DType type, std::byte* data, std::size_t size, std::mt19937& random) {
  auto* b = reinterpret_cast<std::uint8_t*>(data);
  for (std::size_t i = 0; i < size; ++i) b[i] = static_cast<std::uint8_t>(random());
  const auto& info = base::info(type);
  std::normal_distribution<float> normal;
  for (std::size_t at = 0; at + info.block_bytes <= size; at += info.block_bytes) {
    if (type == DType::kMXFP4) b[at] = static_cast<std::uint8_t>(112 + b[at] % 16);
    if (type == DType::kF8E4M3 && (b[at] & 0x7f) == 0x7f) b[at] = 0x70;
    if (type == DType::kF32) {
      const float x = normal(random);
      std::memcpy(b + at, &x, sizeof x);
    }
    // The top byte of a half is sign, exponent (5 bits), two bits of mantissa; exponents 4 .. 11 are 2^-11 .. 2^-4.
    if (type == DType::kF16) b[at + 1] = static_cast<std::uint8_t>((b[at + 1] & 0x83) | (4 + random() % 8) << 2);
    // Of a bf16: sign and seven bits of the exponent; 56 .. 63 with the next bit are 2^-15 .. 2^0.
    if (type == DType::kBF16) b[at + 1] = static_cast<std::uint8_t>((b[at + 1] & 0x80) | (56 + random() % 8));
    for (const std::size_t field : half_fields(type))
      b[at + field + 1] = static_cast<std::uint8_t>((b[at + field + 1] & 0x83) | (4 + random() % 8) << 2);
  }
}

struct Weights {
  GuardedBytes bytes;
  std::vector<float> scale;
  base::Tensor tensor;
};

inline Weights random_weights(DType type, std::int64_t rows, std::int64_t cols, std::mt19937& random) {
  const std::size_t size = base::row_bytes(type, static_cast<std::size_t>(cols)) * static_cast<std::size_t>(rows);
  Weights w{GuardedBytes(size), {}, {}};
  fill_weights(type, w.bytes.data(), size, random);
  w.tensor = {.dtype = type, .rank = 2, .shape = {rows, cols}, .data = w.bytes.data()};
  return w;
}

// An FP8 weight with block scales, whose first row is row `inside` of its block.
inline Weights scaled_weights(std::int64_t rows, std::int64_t cols, std::int32_t block, std::mt19937& random,
                              std::int32_t inside = 0) {
  Weights w = random_weights(DType::kF8E4M3, rows, cols, random);
  w.tensor.scale_row = inside;
  w.scale.resize(static_cast<std::size_t>((rows + inside + block - 1) / block * ((cols + block - 1) / block)));
  for (float& s : w.scale) s = 0.001f * static_cast<float>(1 + random() % 1000);
  w.tensor.scale = w.scale.data();
  w.tensor.scale_block = block;
  return w;
}

// ---- one element at a time ----

inline double half_value(const std::uint8_t* p) {
  const int bits = p[0] + 256 * p[1], exponent = bits / 1024 % 32, mantissa = bits % 1024;
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return bits >= 32768 ? -magnitude : magnitude;
}

inline double e4m3_value(int b) {
  const int exponent = b / 8 % 16, mantissa = b % 8;
  if (exponent == 15 && mantissa == 7) return std::nan("");
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
  return b >= 128 ? -magnitude : magnitude;
}

// `width` bits of a little-endian bit string.
inline int bits_at(const std::uint8_t* p, int bit, int width) {
  int value = 0;
  for (int k = 0; k < width; ++k) value += (p[(bit + k) / 8] >> (bit + k) % 8 & 1) << k;
  return value;
}

// The nibble of element i of a 32-block: byte i mod 16, upper half from element 16 on.
inline int split_nibble(const std::uint8_t* qs, int i) {
  return bits_at(qs + i % 16, i / 16 * 4, 4);
}

// 6-bit scale (which = 0) or minimum (which = 1) of sub-block j in the 12 bytes of Q4_K and Q5_K.
inline int folded_six_bits(const std::uint8_t* b, int j, int which) {
  if (j < 4) return bits_at(b + j + 4 * which, 0, 6);
  return bits_at(b + j + 4, 4 * which, 4) + 16 * bits_at(b + j - 4 + 4 * which, 6, 2);
}

inline double block_element(DType type, const std::uint8_t* b, int i) {
  static constexpr int kSteps[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
  static constexpr int kE2M1Twice[8] = {0, 1, 2, 3, 4, 6, 8, 12};
  const int half = i / 128, in_half = i % 128, pair = in_half / 32, l = i % 32, group = i / 16, sub = i / 32;
  switch (type) {
    case DType::kQ4_0:
      return half_value(b) * (split_nibble(b + 2, i) - 8);
    case DType::kQ4_1:
      return half_value(b) * split_nibble(b + 4, i) + half_value(b + 2);
    case DType::kQ5_0:
      return half_value(b) * (split_nibble(b + 6, i) + 16 * bits_at(b + 2, i, 1) - 16);
    case DType::kQ5_1:
      return half_value(b) * (split_nibble(b + 8, i) + 16 * bits_at(b + 4, i, 1)) + half_value(b + 2);
    case DType::kQ8_0:
      return half_value(b) * (b[2 + i] < 128 ? b[2 + i] : b[2 + i] - 256);
    case DType::kQ2_K:
      return half_value(b + 80) * bits_at(b + group, 0, 4) * bits_at(b + 16 + 32 * half + l, 2 * pair, 2) -
             half_value(b + 82) * bits_at(b + group, 4, 4);
    case DType::kQ3_K: {
      const int low = bits_at(b + 96 + group % 8, group / 8 * 4, 4),
                high = bits_at(b + 104 + group % 4, group / 4 * 2, 2);
      const int code = bits_at(b + 32 + 32 * half + l, 2 * pair, 2) - 4 + 4 * bits_at(b + l, sub, 1);
      return half_value(b + 108) * (low + 16 * high - 32) * code;
    }
    case DType::kQ4_K:
      return half_value(b) * folded_six_bits(b + 4, sub, 0) * bits_at(b + 16 + 32 * (sub / 2) + l, sub % 2 * 4, 4) -
             half_value(b + 2) * folded_six_bits(b + 4, sub, 1);
    case DType::kQ5_K: {
      const int code = bits_at(b + 48 + 32 * (sub / 2) + l, sub % 2 * 4, 4) + 16 * bits_at(b + 16 + l, sub, 1);
      return half_value(b) * folded_six_bits(b + 4, sub, 0) * code - half_value(b + 2) * folded_six_bits(b + 4, sub, 1);
    }
    case DType::kQ6_K: {
      const int low = bits_at(b + 64 * half + 32 * (pair % 2) + l, pair / 2 * 4, 4);
      const int code = low + 16 * bits_at(b + 128 + 32 * half + l, 2 * pair, 2) - 32;
      const int scale = b[192 + group] < 128 ? b[192 + group] : b[192 + group] - 256;
      return half_value(b + 208) * scale * code;
    }
    case DType::kIQ4_NL:
      return half_value(b) * kSteps[split_nibble(b + 2, i)];
    case DType::kIQ4_XS: {
      const int scale = bits_at(b + 4, 4 * sub, 4) + 16 * bits_at(b + 2, 2 * sub, 2) - 32;
      return half_value(b) * scale * kSteps[split_nibble(b + 8 + 16 * sub, l)];
    }
    case DType::kMXFP4: {
      const int code = split_nibble(b + 1, i);
      return std::ldexp(code < 8 ? kE2M1Twice[code] : -kE2M1Twice[code - 8], b[0] - 128);
    }
    default:
      return std::nan("");
  }
}

// Element (r, i) of a weight, block scales of FP8 included.
inline double element(const base::Tensor& w, std::int64_t r, std::int64_t i) {
  const auto& info = base::info(w.dtype);
  const auto per_block = static_cast<std::int64_t>(info.block_elems);
  const std::int64_t block = r * (w.dim(1) / per_block) + i / per_block;
  const auto* b = reinterpret_cast<const std::uint8_t*>(w.data) + block * info.block_bytes;
  float f;
  switch (w.dtype) {
    case DType::kF32:
      std::memcpy(&f, b, sizeof f);
      return static_cast<double>(f);
    case DType::kF16:
      return half_value(b);
    case DType::kBF16: {
      const std::uint8_t wide[4] = {0, 0, b[0], b[1]};
      std::memcpy(&f, wide, sizeof f);
      return static_cast<double>(f);
    }
    case DType::kF8E4M3: {
      if (!w.scale) return e4m3_value(b[0]);
      const std::int64_t across = (w.dim(1) + w.scale_block - 1) / w.scale_block;
      const std::int64_t down = (r + w.scale_row) / w.scale_block;
      return e4m3_value(b[0]) * static_cast<double>(w.scale[down * across + i / w.scale_block]);
    }
    default:
      return block_element(w.dtype, b, static_cast<int>(i % per_block));
  }
}

}  // namespace fathom::kernels::test
