// Decoders of the storage formats, written to be read beside the layout tables of GGUF: a block is a struct of bytes at
// the offsets named in its comment. All products below are exact in fp32 up to the last addition (an fp16 scale has 11
// significant bits, a sub-scale at most 7, a code at most 8), so any decoder that adds last gives the same bits.
#include "kernels/scalar_formats.h"

#include <array>
#include <bit>
#include <cstring>

#include "base/half.h"

namespace fathom::kernels::scalar {
namespace {

// 4-bit codes with uneven steps (IQ4_NL, IQ4_XS), and twice the values of E2M1 (MXFP4).
constexpr std::array<std::int8_t, 16> kUneven = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                 1,    13,   25,  38,  53,  69,  89,  113};
constexpr std::array<std::int8_t, 16> kTwiceE2M1 = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

const std::uint8_t* bytes(const std::byte* p) {
  return reinterpret_cast<const std::uint8_t*>(p);
}

std::uint16_t u16(const std::uint8_t* p) {
  return static_cast<std::uint16_t>(p[0] | p[1] << 8);
}
std::uint32_t u32(const std::uint8_t* p) {
  return u16(p) | static_cast<std::uint32_t>(u16(p + 2)) << 16;
}
float half(const std::uint8_t* p) {
  return base::f16_to_f32(u16(p));
}
int low(std::uint8_t b) {
  return b & 15;
}
int high(std::uint8_t b) {
  return b >> 4;
}
int bit(std::uint32_t word, int i) {
  return static_cast<int>(word >> i & 1u);
}

// Calls block(bytes, out) for each block of a row.
template <int kElements, int kBytes, class Block>
void each_block(const std::byte* row, std::int64_t n, float* out, Block block) {
  const std::uint8_t* b = bytes(row);
  for (std::int64_t i = 0; i < n; i += kElements, b += kBytes) block(b, out + i);
}

// 2^(e - 128), for e = 0 and 1 an fp32 subnormal.
float power_of_two(std::uint8_t e) {
  return std::bit_cast<float>(e < 2 ? 0x00200000u << e : static_cast<std::uint32_t>(e - 1) << 23);
}

struct ScaleMin {
  float scale, min;
};

// Pair j of the eight 6-bit (scale, minimum) pairs that Q4_K and Q5_K fold into 12 bytes.
ScaleMin six_bit_pair(const std::uint8_t* b, int j) {
  if (j < 4) return {static_cast<float>(b[j] & 63), static_cast<float>(b[j + 4] & 63)};
  return {static_cast<float>(low(b[j + 4]) | b[j - 4] >> 6 << 4), static_cast<float>(high(b[j + 4]) | b[j] >> 6 << 4)};
}

}  // namespace

void decode_f32(const std::byte* row, std::int64_t n, float* out) {
  std::memcpy(out, row, static_cast<std::size_t>(n) * sizeof(float));
}

void decode_f16(const std::byte* row, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = half(bytes(row) + 2 * i);
}

void decode_bf16(const std::byte* row, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = base::bf16_to_f32(u16(bytes(row) + 2 * i));
}

void decode_f8e4m3(const std::byte* row, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = base::f8e4m3_to_f32(bytes(row)[i]);
}

// h d; qs[16]
void decode_q4_0(const std::byte* row, std::int64_t n, float* out) {
  each_block<32, 18>(row, n, out, [](const std::uint8_t* b, float* y) {
    const float d = half(b);
    for (int j = 0; j < 16; ++j) {
      y[j] = d * static_cast<float>(low(b[2 + j]) - 8);
      y[j + 16] = d * static_cast<float>(high(b[2 + j]) - 8);
    }
  });
}

// h d; h m; qs[16]
void decode_q4_1(const std::byte* row, std::int64_t n, float* out) {
  each_block<32, 20>(row, n, out, [](const std::uint8_t* b, float* y) {
    const float d = half(b), m = half(b + 2);
    for (int j = 0; j < 16; ++j) {
      y[j] = d * static_cast<float>(low(b[4 + j])) + m;
      y[j + 16] = d * static_cast<float>(high(b[4 + j])) + m;
    }
  });
}

// h d; u32 qh; qs[16]
void decode_q5_0(const std::byte* row, std::int64_t n, float* out) {
  each_block<32, 22>(row, n, out, [](const std::uint8_t* b, float* y) {
    const float d = half(b);
    const std::uint32_t fifth = u32(b + 2);
    for (int j = 0; j < 16; ++j) {
      y[j] = d * static_cast<float>((low(b[6 + j]) | bit(fifth, j) << 4) - 16);
      y[j + 16] = d * static_cast<float>((high(b[6 + j]) | bit(fifth, j + 16) << 4) - 16);
    }
  });
}

// h d; h m; u32 qh; qs[16]
void decode_q5_1(const std::byte* row, std::int64_t n, float* out) {
  each_block<32, 24>(row, n, out, [](const std::uint8_t* b, float* y) {
    const float d = half(b), m = half(b + 2);
    const std::uint32_t fifth = u32(b + 4);
    for (int j = 0; j < 16; ++j) {
      y[j] = d * static_cast<float>(low(b[8 + j]) | bit(fifth, j) << 4) + m;
      y[j + 16] = d * static_cast<float>(high(b[8 + j]) | bit(fifth, j + 16) << 4) + m;
    }
  });
}

// h d; i8 qs[32]
void decode_q8_0(const std::byte* row, std::int64_t n, float* out) {
  each_block<32, 34>(row, n, out, [](const std::uint8_t* b, float* y) {
    const float d = half(b);
    for (int j = 0; j < 32; ++j) y[j] = d * static_cast<float>(static_cast<std::int8_t>(b[2 + j]));
  });
}

// u8 scales[16] (low nibble scale, high nibble minimum); qs[64]; h d; h dmin
void decode_q2_k(const std::byte* row, std::int64_t n, float* out) {
  each_block<256, 84>(row, n, out, [](const std::uint8_t* b, float* y) {
    const float d = half(b + 80), dmin = half(b + 82);
    for (int i = 0; i < 256; ++i) {
      const int half_block = i / 128, shift = i % 128 / 32 * 2;
      const int q = b[16 + 32 * half_block + i % 32] >> shift & 3;
      const std::uint8_t scale = b[i / 16];
      y[i] = d * static_cast<float>(low(scale)) * static_cast<float>(q) - dmin * static_cast<float>(high(scale));
    }
  });
}

// hmask[32]; qs[64]; scales[12]; h d
void decode_q3_k(const std::byte* row, std::int64_t n, float* out) {
  each_block<256, 110>(row, n, out, [](const std::uint8_t* b, float* y) {
    const float d = half(b + 108);
    const std::uint8_t* scales = b + 96;
    for (int i = 0; i < 256; ++i) {
      const int half_block = i / 128, shift = i % 128 / 32 * 2, g = i / 16;
      const int two_bits = b[32 + 32 * half_block + i % 32] >> shift & 3;
      const int q = two_bits - (bit(b[i % 32], i / 32) ? 0 : 4);
      const int low_bits = g < 8 ? low(scales[g]) : high(scales[g - 8]);
      const int sub_scale = (low_bits | (scales[8 + g % 4] >> 2 * (g / 4) & 3) << 4) - 32;
      y[i] = d * static_cast<float>(sub_scale) * static_cast<float>(q);
    }
  });
}

// h d; h dmin; scales[12]; qs[128]
void decode_q4_k(const std::byte* row, std::int64_t n, float* out) {
  each_block<256, 144>(row, n, out, [](const std::uint8_t* b, float* y) {
    const float d = half(b), dmin = half(b + 2);
    for (int sub = 0; sub < 8; ++sub) {
      const auto [scale, min] = six_bit_pair(b + 4, sub);
      const std::uint8_t* qs = b + 16 + 32 * (sub / 2);
      for (int l = 0; l < 32; ++l) {
        const int q = sub % 2 ? high(qs[l]) : low(qs[l]);
        y[32 * sub + l] = d * scale * static_cast<float>(q) - dmin * min;
      }
    }
  });
}

// h d; h dmin; scales[12]; qh[32]; qs[128]
void decode_q5_k(const std::byte* row, std::int64_t n, float* out) {
  each_block<256, 176>(row, n, out, [](const std::uint8_t* b, float* y) {
    const float d = half(b), dmin = half(b + 2);
    for (int sub = 0; sub < 8; ++sub) {
      const auto [scale, min] = six_bit_pair(b + 4, sub);
      const std::uint8_t* qs = b + 48 + 32 * (sub / 2);
      for (int l = 0; l < 32; ++l) {
        const int q = (sub % 2 ? high(qs[l]) : low(qs[l])) | bit(b[16 + l], sub) << 4;
        y[32 * sub + l] = d * scale * static_cast<float>(q) - dmin * min;
      }
    }
  });
}

// ql[128]; qh[64]; i8 scales[16]; h d
void decode_q6_k(const std::byte* row, std::int64_t n, float* out) {
  each_block<256, 210>(row, n, out, [](const std::uint8_t* b, float* y) {
    const float d = half(b + 208);
    for (int i = 0; i < 256; ++i) {
      const int half_block = i / 128, quarter = i % 128 / 32, l = i % 32;
      const std::uint8_t ql = b[64 * half_block + 32 * (quarter % 2) + l];
      const int upper = b[128 + 32 * half_block + l] >> 2 * quarter & 3;
      const int q = ((quarter < 2 ? low(ql) : high(ql)) | upper << 4) - 32;
      y[i] = d * static_cast<float>(static_cast<std::int8_t>(b[192 + i / 16])) * static_cast<float>(q);
    }
  });
}

// h d; qs[16]
void decode_iq4_nl(const std::byte* row, std::int64_t n, float* out) {
  each_block<32, 18>(row, n, out, [](const std::uint8_t* b, float* y) {
    const float d = half(b);
    for (std::size_t j = 0; j < 16; ++j) {
      y[j] = d * static_cast<float>(kUneven[b[2 + j] & 15u]);
      y[j + 16] = d * static_cast<float>(kUneven[b[2 + j] >> 4]);
    }
  });
}

// h d; u16 scales_h; u8 scales_l[4]; qs[128]
void decode_iq4_xs(const std::byte* row, std::int64_t n, float* out) {
  each_block<256, 136>(row, n, out, [](const std::uint8_t* b, float* y) {
    const float d = half(b);
    const int scales_high = u16(b + 2);
    for (int sub = 0; sub < 8; ++sub) {
      const int low_bits = b[4 + sub / 2] >> 4 * (sub % 2) & 15;
      const int sub_scale = (low_bits | (scales_high >> 2 * sub & 3) << 4) - 32;
      const float scale = d * static_cast<float>(sub_scale);
      const std::uint8_t* qs = b + 8 + 16 * sub;
      for (int j = 0; j < 16; ++j) {
        y[32 * sub + j] = scale * static_cast<float>(kUneven[qs[j] & 15u]);
        y[32 * sub + j + 16] = scale * static_cast<float>(kUneven[qs[j] >> 4]);
      }
    }
  });
}

// u8 e; qs[16]; the scale is 2^(e - 128) because the table holds doubled values
void decode_mxfp4(const std::byte* row, std::int64_t n, float* out) {
  each_block<32, 17>(row, n, out, [](const std::uint8_t* b, float* y) {
    const float d = power_of_two(b[0]);
    for (std::size_t j = 0; j < 16; ++j) {
      y[j] = d * static_cast<float>(kTwiceE2M1[b[1 + j] & 15u]);
      y[j + 16] = d * static_cast<float>(kTwiceE2M1[b[1 + j] >> 4]);
    }
  });
}

}  // namespace fathom::kernels::scalar
