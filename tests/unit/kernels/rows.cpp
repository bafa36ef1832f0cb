// Operations on rows: normalisation, rotation, activation and the rows of the cache, by every table and at every width
// around a vector's.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/half.h"
#include "random_weights.h"

namespace fathom::kernels::test {
namespace {

constexpr double kEps = 0x1p-24;

class Rows : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    table_ = find_table(GetParam());
    if (!table_) GTEST_SKIP() << "this machine cannot run " << GetParam();
  }
  GuardedBytes normal(std::int64_t n) {
    GuardedBytes x = guarded_floats(static_cast<std::size_t>(n));
    fill_normal(x.floats(), static_cast<std::size_t>(n), random_);
    return x;
  }
  const Table* table_ = nullptr;
  std::mt19937 random_{5};
};

const std::int64_t kWidths[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 129, 576, 1000};

// The sum of n squares by lanes loses at most (n / 8 + 8) eps of itself, half of which reaches its root; root, quotient
// and two products add four roundings.
TEST_P(Rows, RmsNorm) {
  for (const std::int64_t n : kWidths) {
    const GuardedBytes x = normal(n), weight = normal(n), out = guarded_floats(static_cast<std::size_t>(n));
    double squares = 0;
    for (std::int64_t i = 0; i < n; ++i) squares += std::pow(static_cast<double>(x.floats()[i]), 2);
    const double factor = 1 / std::sqrt(squares / static_cast<double>(n) + static_cast<double>(1e-6f));
    const double bound = (static_cast<double>(n) / 16 + 8) * kEps;
    table_->rms_norm(x.floats(), weight.floats(), 1e-6f, n, out.floats());
    for (std::int64_t i = 0; i < n; ++i) {
      const double y = x.floats()[i] * factor * weight.floats()[i];
      ASSERT_NEAR(out.floats()[i], y, bound * std::abs(y)) << n;
    }
    table_->rms_norm(x.floats(), nullptr, 1e-6f, n, x.floats());  // in place, without a weight
    for (std::int64_t i = 0; i < n; ++i) {
      const double y = out.floats()[i], unweighted = x.floats()[i] * static_cast<double>(weight.floats()[i]);
      ASSERT_NEAR(unweighted, y, 2 * kEps * std::abs(y)) << n;
    }
  }
}

// Two products and a sum: three roundings of at most |a| + |b|. Numbers behind the rotated ones stay.
TEST_P(Rows, Rope) {
  for (const RopeLayout layout : {RopeLayout::kInterleaved, RopeLayout::kHalf})
    for (const std::int64_t pairs : kWidths) {
      const GuardedBytes cosines = normal(pairs), sines = normal(pairs), x = normal(2 * pairs + 3);
      for (std::int64_t i = 0; i < pairs; ++i) {
        const float angle = cosines.floats()[i];
        cosines.floats()[i] = std::cos(angle);
        sines.floats()[i] = std::sin(angle);
      }
      const std::vector<float> before(x.floats(), x.floats() + 2 * pairs + 3);
      table_->rope(x.floats(), cosines.floats(), sines.floats(), pairs, layout);
      for (std::int64_t i = 0; i < pairs; ++i) {
        const std::int64_t first = layout == RopeLayout::kInterleaved ? 2 * i : i;
        const std::int64_t second = layout == RopeLayout::kInterleaved ? 2 * i + 1 : i + pairs;
        const double a = before[static_cast<std::size_t>(first)], b = before[static_cast<std::size_t>(second)];
        const double c = cosines.floats()[i], s = sines.floats()[i], bound = 3 * kEps * (std::abs(a) + std::abs(b));
        ASSERT_NEAR(x.floats()[first], a * c - b * s, bound) << pairs;
        ASSERT_NEAR(x.floats()[second], a * s + b * c, bound) << pairs;
      }
      for (std::int64_t i = 2 * pairs; i < 2 * pairs + 3; ++i)
        ASSERT_EQ(x.floats()[i], before[static_cast<std::size_t>(i)]);
    }
}

// e^-g to two units in the last place, of which 1 + e^-g keeps at most as many; a sum, a quotient and a product: 2 * 2
// + 3 half units, and one for the double's rounding here.
TEST_P(Rows, Swiglu) {
  for (const std::int64_t n : kWidths) {
    const GuardedBytes gate = normal(n), up = normal(n), out = guarded_floats(static_cast<std::size_t>(n));
    for (std::int64_t i = 0; i < n; ++i) gate.floats()[i] *= 20;
    table_->swiglu(gate.floats(), up.floats(), n, out.floats());
    for (std::int64_t i = 0; i < n; ++i) {
      const double g = gate.floats()[i], y = g / (1 + std::exp(-g)) * up.floats()[i];
      ASSERT_NEAR(out.floats()[i], y, 8 * kEps * std::abs(y)) << g;
    }
  }
  const float gate[] = {-200, -88.5f, 200, 0, 1e-40f}, up[] = {1, 1, 1, 1, 1};
  float out[5];
  table_->swiglu(gate, up, 5, out);
  EXPECT_NEAR(out[0], 0, 1e-35);
  EXPECT_NEAR(out[1], 0, 1e-35);
  EXPECT_EQ(out[2], 200);
  EXPECT_EQ(out[3], 0);
  EXPECT_NEAR(out[4], 5e-41, 1e-41);
}

TEST_P(Rows, FloatRowsOfTheCacheRoundToNearestEven) {
  for (const std::int64_t n : kWidths) {
    const GuardedBytes x = normal(n), back = guarded_floats(static_cast<std::size_t>(n));
    if (n > 8) {
      const float strange[] = {std::nanf(""),
                               HUGE_VALF,
                               -HUGE_VALF,
                               3.4e38f,
                               1e-40f,
                               -0.0f,
                               std::bit_cast<float>(0x3f808000u),
                               std::bit_cast<float>(0x3f818000u)};
      std::copy(std::begin(strange), std::end(strange), x.floats());
    }
    for (const DType type : {DType::kF32, DType::kBF16}) {
      const GuardedBytes row(cache_row_bytes(type, n));
      table_->store_row(x.floats(), n, type, row.data());
      table_->load_row(row.data(), n, type, back.floats());
      for (std::int64_t i = 0; i < n; ++i) {
        const float expected =
            type == DType::kF32 ? x.floats()[i] : base::bf16_to_f32(base::f32_to_bf16(x.floats()[i]));
        if (std::isnan(expected)) {
          ASSERT_TRUE(std::isnan(back.floats()[i])) << i;
        } else {
          ASSERT_EQ(std::bit_cast<std::uint32_t>(back.floats()[i]), std::bit_cast<std::uint32_t>(expected)) << i;
        }
      }
    }
  }
}

// Half a step of amax / 127 in each group of 64, plus the roundings of x / scale (127 units) and of the product.
TEST_P(Rows, EightBitRowsOfTheCacheComeBack) {
  for (const std::int64_t n : kWidths) {
    const GuardedBytes x = normal(n), back = guarded_floats(static_cast<std::size_t>(n));
    const GuardedBytes row(cache_row_bytes(DType::kI8, n));
    ASSERT_EQ(row.size(), static_cast<std::size_t>((n + 3) / 4 * 4 + (n + 63) / 64 * 4));
    table_->store_row(x.floats(), n, DType::kI8, row.data());
    table_->load_row(row.data(), n, DType::kI8, back.floats());
    for (std::int64_t i = 0; i < n; ++i) {
      float amax = 0;
      for (std::int64_t k = i / 64 * 64; k < std::min(n, i / 64 * 64 + 64); ++k)
        amax = std::max(amax, std::abs(x.floats()[k]));
      ASSERT_NEAR(back.floats()[i], x.floats()[i], amax * (1.0 / 254 + 3 * kEps)) << n << " " << i;
    }
    // The same bytes as the scalar table writes.
    const GuardedBytes scalar(cache_row_bytes(DType::kI8, n));
    find_table("scalar")->store_row(x.floats(), n, DType::kI8, scalar.data());
    ASSERT_EQ(std::memcmp(row.data(), scalar.data(), row.size()), 0) << n;
  }
}

TEST_P(Rows, EightBitGroupsThatCannotBeScaled) {
  const std::int64_t n = 192;
  const GuardedBytes x = normal(n), back = guarded_floats(n), row(cache_row_bytes(DType::kI8, n));
  x.floats()[70] = std::nanf("");
  std::fill_n(x.floats() + 128, 64, 1e-40f);
  table_->store_row(x.floats(), n, DType::kI8, row.data());
  table_->load_row(row.data(), n, DType::kI8, back.floats());
  for (std::int64_t i = 0; i < 64; ++i) EXPECT_TRUE(std::isfinite(back.floats()[i]));
  for (std::int64_t i = 64; i < 128; ++i) EXPECT_TRUE(std::isnan(back.floats()[i]));
  for (std::int64_t i = 128; i < 192; ++i) EXPECT_EQ(back.floats()[i], 0);
}

INSTANTIATE_TEST_SUITE_P(Tables, Rows, testing::Values("scalar", "avx2", "avx512"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace fathom::kernels::test
