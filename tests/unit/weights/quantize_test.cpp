// Rows written by quantize_row, read back by the decoders that define the formats.
#include "weights/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/table.h"

namespace fathom::weights {
namespace {

using base::DType;

std::vector<std::byte> encode(DType type, const std::vector<float>& x) {
  std::vector<std::byte> bytes(base::row_bytes(type, x.size()));
  quantize_row(type, x.data(), static_cast<std::int64_t>(x.size()), bytes.data());
  return bytes;
}

std::vector<float> there_and_back(DType type, const std::vector<float>& x) {
  std::vector<float> y(x.size());
  kernels::find_table("scalar")->decode[static_cast<std::size_t>(type)](encode(type, x).data(),
                                                                        static_cast<std::int64_t>(x.size()), y.data());
  return y;
}

double squared_error(const std::vector<float>& x, const std::vector<float>& y) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    sum += (static_cast<double>(x[i]) - y[i]) * (static_cast<double>(x[i]) - y[i]);
  return sum;
}

std::vector<float> normal(std::size_t n, float deviation, float mean = 0, unsigned seed = 7) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> draw(mean, deviation);
  std::vector<float> x(n);
  for (float& v : x) v = draw(engine);
  return x;
}

// Error relative to the numbers' own square.
double loss(DType type, const std::vector<float>& x) {
  return squared_error(x, there_and_back(type, x)) / squared_error(x, std::vector<float>(x.size()));
}

constexpr DType kBlockTypes[] = {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,
                                 DType::kQ8_0, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};

struct Bound {
  DType type;
  double loss;
};

class NormalNumbers : public testing::TestWithParam<Bound> {};

// The bounds are a twenty-fifth above what the search reaches, and below what rounding by the largest number does.
TEST_P(NormalNumbers, LoseLittle) {
  for (const float deviation : {1.0f, 0.02f})
    EXPECT_LT(loss(GetParam().type, normal(1 << 16, deviation)), GetParam().loss);
}

INSTANTIATE_TEST_SUITE_P(Types, NormalNumbers,
                         testing::Values(Bound{DType::kQ4_0, 6.9e-3}, Bound{DType::kQ4_1, 5.1e-3},
                                         Bound{DType::kQ5_0, 1.7e-3}, Bound{DType::kQ5_1, 1.18e-3},
                                         Bound{DType::kQ8_0, 2.45e-5}, Bound{DType::kQ4_K, 5.1e-3},
                                         Bound{DType::kQ5_K, 1.25e-3}, Bound{DType::kQ6_K, 3.02e-4},
                                         Bound{DType::kF16, 1e-7}, Bound{DType::kBF16, 4e-6}),
                         [](const auto& test) { return std::string(base::info(test.param.type).name); });

TEST(Quantize, LosesNothingOfWholeMultiples) {
  // Numbers that the format holds exactly: whole steps of a power of two, the whole range of codes used.
  for (const DType type : {DType::kQ8_0, DType::kQ4_0, DType::kQ5_0, DType::kQ6_K}) {
    const int most = type == DType::kQ8_0 ? 127 : type == DType::kQ4_0 ? 7 : type == DType::kQ5_0 ? 15 : 31;
    std::vector<float> x(512);
    for (std::size_t i = 0; i < x.size(); ++i)
      x[i] = 0.125f * static_cast<float>(i % 16 == 0 ? most : static_cast<int>(i * 37) % (2 * most + 1) - most);
    EXPECT_EQ(there_and_back(type, x), x) << base::info(type).name;
  }
  for (const DType type : {DType::kQ4_1, DType::kQ5_1}) {
    const int most = type == DType::kQ4_1 ? 15 : 31;
    std::vector<float> x(64);
    for (std::size_t i = 0; i < x.size(); ++i)
      x[i] = 3 + 0.25f * static_cast<float>(i % 32 == 0 ? most : static_cast<int>(i * 7) % (most + 1));
    EXPECT_EQ(there_and_back(type, x), x) << base::info(type).name;
  }
}

TEST(Quantize, KeepsZeros) {
  for (const DType type : kBlockTypes) {
    const std::vector<float> zeros(512);
    EXPECT_EQ(there_and_back(type, zeros), zeros) << base::info(type).name;
    std::vector<float> nothing(512, 1e-30f);
    EXPECT_EQ(there_and_back(type, nothing), zeros) << base::info(type).name;
  }
}

// To half a step of an 8-bit scale.
TEST(Quantize, HoldsEqualNumbers) {
  for (const DType type : kBlockTypes)
    for (const float value : {1.0f, -0.037f}) {
      const std::vector<float> x(256, value);
      for (const float y : there_and_back(type, x))
        EXPECT_NEAR(y, value, std::abs(value) * 4e-3f) << base::info(type).name;
    }
}

TEST(Quantize, SurvivesOneLargeNumberAndTheSmallestHalves) {
  for (const DType type : kBlockTypes) {
    std::vector<float> x = normal(256, 0.01f);
    x[100] = -60000;
    const auto y = there_and_back(type, x);
    EXPECT_NEAR(y[100], x[100], 60000 * 0.01f) << base::info(type).name;
    for (const float v : y) EXPECT_TRUE(std::isfinite(v)) << base::info(type).name;
    // Scales near the smallest fp16, which lie far apart: the search must work with what is really stored.
    EXPECT_LT(loss(type, normal(1 << 12, 3e-5f)), 8e-3) << base::info(type).name;
  }
}

TEST(Quantize, FollowsNumbersFarFromZero) {
  // Half of the formats have an offset for this; the k-quants only know one below zero.
  for (const DType type : {DType::kQ4_1, DType::kQ5_1}) EXPECT_LT(loss(type, normal(1 << 12, 0.1f, 5.0f)), 1e-5);
  for (const DType type : {DType::kQ4_K, DType::kQ5_K}) EXPECT_LT(loss(type, normal(1 << 12, 0.1f, -5.0f)), 1e-5);
}

TEST(Quantize, TreatsBlocksAlone) {
  for (const DType type : kBlockTypes) {
    const std::size_t block = base::info(type).block_elems;
    const auto x = normal(3 * block, 0.5f);
    auto parts = encode(type, {x.begin(), x.begin() + static_cast<std::ptrdiff_t>(block)});
    const auto rest = encode(type, {x.begin() + static_cast<std::ptrdiff_t>(block), x.end()});
    parts.insert(parts.end(), rest.begin(), rest.end());
    EXPECT_EQ(encode(type, x), parts) << base::info(type).name;
  }
}

TEST(Quantize, IsNoWorseThanRoundingByTheLargest) {
  const auto x = normal(1 << 14, 0.05f);
  std::vector<float> y(x.size());
  for (std::size_t b = 0; b < x.size(); b += 32) {
    float largest = 0;
    for (std::size_t i = b; i < b + 32; ++i) largest = std::max(largest, std::abs(x[i]));
    for (std::size_t i = b; i < b + 32; ++i) y[i] = std::nearbyint(x[i] * 127 / largest) * largest / 127;
  }
  EXPECT_LT(squared_error(x, there_and_back(DType::kQ8_0, x)), squared_error(x, y));
}

TEST(Quantize, RoundsPlainTypes) {
  const std::vector<float> x{0, -0.0f, 1, 1.0009765625f, 65504, -3.14159265f, 6e-8f, 1e-9f};
  EXPECT_EQ(there_and_back(DType::kF32, x), x);
  EXPECT_EQ(there_and_back(DType::kF16, x),
            (std::vector<float>{0, 0, 1, 1.0009765625f, 65504, -3.140625f, 0x1p-24f, 0}));
  EXPECT_EQ(there_and_back(DType::kBF16, {1, 3.14159265f, -0x1.01p100f}),
            (std::vector<float>{1, 3.140625f, -0x1p100f}));
}

TEST(Quantize, SaysWhatItCanHold) {
  for (const DType type : kBlockTypes) EXPECT_TRUE(can_quantize(type));
  for (const DType type : {DType::kIQ4_XS, DType::kMXFP4, DType::kF8E4M3, DType::kI32})
    EXPECT_FALSE(can_quantize(type));
  EXPECT_EQ(largest_magnitude(DType::kF16), 65504);
  EXPECT_EQ(largest_magnitude(DType::kQ4_K), 65504);
  EXPECT_EQ(largest_magnitude(DType::kF32), std::numeric_limits<float>::max());
}

}  // namespace
}  // namespace fathom::weights
