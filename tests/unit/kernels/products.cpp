// Products of weights with activations: each fast table against a sum in doubles and against the scalar table, and the
// rule that an output's bits depend on nothing but its own row and token.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "random_weights.h"

namespace fathom::kernels::test {
namespace {

constexpr double kEps = 0x1p-24;  // half a unit in the last place of 1.0f

// Rows of activations, and as `table` packs them.
struct Inputs {
  std::int64_t tokens, n;
  GuardedBytes x, packed;
  std::size_t stride = 0;

  Inputs(const Table& table, std::int64_t tokens_, std::int64_t n_, std::mt19937& random)
      : tokens(tokens_), n(n_), x(guarded_floats(static_cast<std::size_t>(tokens_ * n_))), packed(0) {
    fill_normal(x.floats(), static_cast<std::size_t>(tokens * n), random);
    if (!table.pack) return;
    stride = table.packed_bytes(n);
    packed = GuardedBytes((stride * static_cast<std::size_t>(tokens) + 63) / 64 * 64);
    for (std::int64_t t = 0; t < tokens; ++t)
      table.pack(row(t), n, packed.data() + static_cast<std::size_t>(t) * stride);
  }
  const float* row(std::int64_t t) const { return x.floats() + t * n; }
  Activations view() const { return {x.floats(), n, packed.data(), stride}; }
};

// All outputs of all tokens in one call.
std::vector<float> product(void (*linear)(const LinearArgs&), const base::Tensor& w, const Inputs& in) {
  std::vector<float> out(static_cast<std::size_t>(in.tokens * w.dim(0)), -1.0f);
  linear({.weight = &w, .in = in.view(), .tokens = in.tokens, .out = out.data(), .out_ld = w.dim(0), .end = w.dim(0)});
  return out;
}

auto linear_of(const Table& table, DType type) {
  return table.linear[static_cast<std::size_t>(type)];
}

// The activations that 8-bit codes stand for, by the definition of `pack`.
std::vector<double> as_codes(const float* x, std::int64_t n) {
  std::vector<double> y(static_cast<std::size_t>(n));
  for (std::int64_t begin = 0; begin < n; begin += 32) {
    float amax = 0;
    for (std::int64_t i = begin; i < std::min(n, begin + 32); ++i) amax = std::max(amax, std::abs(x[i]));
    const float inverse = amax > 0 ? 127.0f / amax : 0.0f, scale = amax / 127.0f;
    for (std::int64_t i = begin; i < std::min(n, begin + 32); ++i)
      y[static_cast<std::size_t>(i)] = static_cast<double>(scale) * static_cast<double>(std::nearbyint(x[i] * inverse));
  }
  return y;
}

// Bound on what fp32 makes of a row's sum: a lane adds ceil(n / 128) or more terms one by one (n / 16 for plain types,
// whose lanes are 8 or 16), log2(16) additions join lanes, and 4 roundings lie in each term: (n / 8 + 8) eps of the sum
// of magnitudes. Block formats sum scale * code and minimum apart, each at most 4 times the largest weight of the row
// (codes and offsets of these random blocks reach at most twice the largest difference of two weights).
double rounding_bound(const std::vector<double>& w, const std::vector<double>& x) {
  double largest = 0, sum = 0;
  for (const double v : w) largest = std::max(largest, std::abs(v));
  for (const double v : x) sum += std::abs(v);
  return (static_cast<double>(w.size()) / 8 + 8) * kEps * 4 * largest * sum;
}

std::vector<double> row_of(const base::Tensor& w, std::int64_t r) {
  std::vector<double> row(static_cast<std::size_t>(w.dim(1)));
  for (std::int64_t i = 0; i < w.dim(1); ++i) row[static_cast<std::size_t>(i)] = element(w, r, i);
  return row;
}

// Outputs against sums in doubles over the activations as given (or, with `codes`, as `pack` rounds them), to within
// what fp32 sums may lose.
void expect_sums(const base::Tensor& w, const Inputs& in, const std::vector<float>& out, bool codes) {
  for (std::int64_t r = 0; r < w.dim(0); ++r) {
    const std::vector<double> row = row_of(w, r);
    for (std::int64_t t = 0; t < in.tokens; ++t) {
      const std::vector<double> x =
          codes ? as_codes(in.row(t), in.n) : std::vector<double>(in.row(t), in.row(t) + in.n);
      const double sum = std::inner_product(row.begin(), row.end(), x.begin(), 0.0);
      ASSERT_NEAR(out[static_cast<std::size_t>(t * w.dim(0) + r)], sum, rounding_bound(row, x))
          << name_of(w.dtype) << " width " << in.n << " row " << r << " token " << t;
    }
  }
}

class Products : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    table_ = find_table(GetParam());
    if (!table_) GTEST_SKIP() << "this machine cannot run " << GetParam();
  }
  const Table* table_ = nullptr;
  std::mt19937 random_{11};
};

std::vector<std::int64_t> widths_of(DType type) {
  if (!base::is_block_format(type)) return {1, 3, 15, 16, 17, 33, 100, 511, 512, 513, 1040};
  if (base::info(type).block_elems == 256) return {256, 512, 768, 1536};
  return {32, 64, 96, 128, 160, 256, 288, 544, 576, 1408};
}

TEST_P(Products, BlockFormatsSumWhatTheirCodesSay) {
  for (const DType type : block_types())
    for (const std::int64_t n : widths_of(type)) {
      const Weights w = random_weights(type, 7, n, random_);
      const Inputs in(*table_, 3, n, random_);
      expect_sums(w.tensor, in, product(linear_of(*table_, type), w.tensor, in), table_->pack != nullptr);
    }
}

TEST_P(Products, PlainTypesSumAtEveryWidth) {
  for (const DType type : plain_types())
    for (const std::int64_t n : widths_of(type)) {
      const Weights w = random_weights(type, 11, n, random_);
      const Inputs in(*table_, 5, n, random_);
      expect_sums(w.tensor, in, product(linear_of(*table_, type), w.tensor, in), false);
    }
  for (const std::int32_t inside : {0, 77}) {
    const Weights w = scaled_weights(140, 700, 128, random_, inside);
    const Inputs in(*table_, 2, 700, random_);
    expect_sums(w.tensor, in, product(linear_of(*table_, DType::kF8E4M3), w.tensor, in), false);
  }
}

TEST_P(Products, FloatActivationsServeEveryType) {
  for (const auto& types : {block_types(), plain_types()})
    for (const DType type : types)
      for (const std::int64_t n : widths_of(type)) {
        const Weights w = random_weights(type, 5, n, random_);
        const Inputs in(*table_, 4, n, random_);
        expect_sums(w.tensor, in, product(table_->linear_f32, w.tensor, in), false);
      }
}

// Against the scalar table, which does not round activations. Rounding to steps of s = amax / 127 in each block of 32
// errs by at most s / 2 and by s^2 / 12 on average of squares, with signs that have nothing to do with the weights: the
// sum's error has the variance sum w^2 s^2 / 12. Six deviations; the largest possible error is far larger.
TEST_P(Products, BlockFormatsAgreeWithTheScalarTable) {
  const Table& scalar = *find_table("scalar");
  for (const DType type : block_types()) {
    const std::int64_t n = 1536;
    const Weights w = random_weights(type, 9, n, random_);
    const Inputs in(*table_, 3, n, random_);
    const std::vector<float> fast = product(linear_of(*table_, type), w.tensor, in);
    const std::vector<float> exact = product(linear_of(scalar, type), w.tensor, in);
    for (std::int64_t r = 0; r < 9; ++r) {
      const std::vector<double> row = row_of(w.tensor, r);
      for (std::int64_t t = 0; t < 3; ++t) {
        double variance = 0;
        for (std::int64_t i = 0; i < n; ++i) {
          const float* block = in.row(t) + i / 32 * 32;
          double amax = 0;
          for (int k = 0; k < 32; ++k) amax = std::max(amax, std::abs(static_cast<double>(block[k])));
          const double error = row[static_cast<std::size_t>(i)] * amax / 127;
          variance += error * error / 12;
        }
        const std::vector<double> x(in.row(t), in.row(t) + n);
        const auto at = static_cast<std::size_t>(t * 9 + r);
        EXPECT_NEAR(fast[at], exact[at], 6 * std::sqrt(variance) + rounding_bound(row, x)) << name_of(type);
      }
    }
  }
}

// Every way of asking for an output gives the same bits as asking for it alone.
void expect_same_bits(const Table& table, void (*linear)(const LinearArgs&), const base::Tensor& w,
                      std::mt19937& random) {
  const std::int64_t rows = w.dim(0);
  const Inputs in(table, 130, w.dim(1), random);
  std::vector<float> alone(static_cast<std::size_t>(in.tokens * rows));
  for (std::int32_t t = 0; t < in.tokens; ++t)
    for (std::int64_t o = 0; o < rows; ++o)
      linear({.weight = &w,
              .in = in.view(),
              .tokens = 1,
              .out = alone.data() + t * rows,
              .out_ld = rows,
              .begin = o,
              .end = o + 1,
              .gather = &t});
  const auto expect_rows = [&](const std::vector<float>& out, std::int64_t tokens, const char* how) {
    ASSERT_EQ(std::memcmp(out.data(), alone.data(), static_cast<std::size_t>(tokens * rows) * sizeof(float)), 0)
        << name_of(w.dtype) << " width " << w.dim(1) << ": " << how << " with " << tokens << " tokens";
  };
  for (const std::int64_t tokens : {1, 2, 3, 5, 17, 64, 65, 130}) {
    std::vector<float> out(alone.size(), -1.0f);
    LinearArgs args{.weight = &w, .in = in.view(), .tokens = tokens, .out = out.data(), .out_ld = rows};
    args.end = rows;
    linear(args);
    expect_rows(out, tokens, "one call");
    std::fill(out.begin(), out.end(), -1.0f);
    for (const auto& [begin, end] : {std::pair{0, 3}, {3, 4}, {4, 9}, {9, static_cast<int>(rows)}}) {
      args.begin = begin;
      args.end = end;
      linear(args);
    }
    expect_rows(out, tokens, "ranges");
    // Tokens read and written in a shuffled order.
    std::vector<std::int32_t> order(static_cast<std::size_t>(tokens));
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random);
    std::fill(out.begin(), out.end(), -1.0f);
    args.begin = 0;
    args.end = rows;
    args.gather = args.scatter = order.data();
    linear(args);
    expect_rows(out, tokens, "gather and scatter");
  }
}

TEST_P(Products, BitsDoNotDependOnTheCall) {
  for (const DType type : block_types()) {
    const std::int64_t n = base::info(type).block_elems == 256 ? 768 : 544;
    const Weights w = random_weights(type, 14, n, random_);
    expect_same_bits(*table_, linear_of(*table_, type), w.tensor, random_);
  }
  for (const DType type : plain_types())
    expect_same_bits(*table_, linear_of(*table_, type), random_weights(type, 14, 531, random_).tensor, random_);
  expect_same_bits(*table_, table_->linear_f32, random_weights(DType::kQ6_K, 14, 768, random_).tensor, random_);
  expect_same_bits(*table_, table_->linear_f32, random_weights(DType::kQ5_0, 14, 544, random_).tensor, random_);
}

// Bias before the row's factor, both before what `out` holds; other outputs are left alone.
TEST_P(Products, BiasFactorAndAccumulation) {
  for (const DType type : {DType::kQ4_K, DType::kBF16}) {
    const std::int64_t rows = 13, n = 256, tokens = 6;
    const Weights w = random_weights(type, rows, n, random_);
    const Inputs in(*table_, tokens, n, random_);
    const std::vector<float> plain = product(linear_of(*table_, type), w.tensor, in);
    std::vector<float> bias(rows), factor(tokens), out(static_cast<std::size_t>(tokens * 20));
    fill_normal(bias.data(), bias.size(), random_);
    fill_normal(factor.data(), factor.size(), random_);
    fill_normal(out.data(), out.size(), random_);
    std::vector<float> expected = out;
    for (std::int64_t t = 0; t < tokens; ++t)
      for (std::int64_t o = 2; o < 11; ++o)
        expected[static_cast<std::size_t>(t * 20 + o)] +=
            (plain[static_cast<std::size_t>(t * rows + o)] + bias[static_cast<std::size_t>(o)]) *
            factor[static_cast<std::size_t>(t)];
    linear_of(*table_, type)({.weight = &w.tensor,
                              .bias = bias.data(),
                              .in = in.view(),
                              .tokens = tokens,
                              .out = out.data(),
                              .out_ld = 20,
                              .begin = 2,
                              .end = 11,
                              .row_scale = factor.data(),
                              .accumulate = true});
    EXPECT_EQ(out, expected) << name_of(type);
  }
}

TEST_P(Products, TransposedProductsSumOverRows) {
  for (const auto& types : {block_types(), plain_types()})
    for (const DType type : types) {
      const std::int64_t n = base::is_block_format(type) ? (base::info(type).block_elems == 256 ? 512 : 288) : 261;
      for (const std::int64_t rows : {1, 6, 37}) {
        const Weights w = random_weights(type, rows, n, random_);
        const std::int64_t tokens = 19;
        GuardedBytes x = guarded_floats(static_cast<std::size_t>(tokens * rows));
        fill_normal(x.floats(), static_cast<std::size_t>(tokens * rows), random_);
        GuardedBytes out = guarded_floats(static_cast<std::size_t>(tokens * n));
        table_->linear_transposed(
            {.weight = &w.tensor, .x = x.floats(), .x_ld = rows, .tokens = tokens, .out = out.floats(), .out_ld = n});
        // Row by row in fp32: rows + 1 roundings of at most the sum of magnitudes.
        for (std::int64_t i = 0; i < n; ++i) {
          std::vector<double> column(static_cast<std::size_t>(rows));
          for (std::int64_t r = 0; r < rows; ++r) column[static_cast<std::size_t>(r)] = element(w.tensor, r, i);
          for (std::int64_t t = 0; t < tokens; ++t) {
            double sum = 0, magnitude = 0;
            for (std::int64_t r = 0; r < rows; ++r) {
              const double term = column[static_cast<std::size_t>(r)] * static_cast<double>(x.floats()[t * rows + r]);
              sum += term;
              magnitude += std::abs(term);
            }
            ASSERT_NEAR(out.floats()[t * n + i], sum, static_cast<double>(rows + 1) * kEps * magnitude)
                << name_of(type) << " column " << i;
          }
        }
        // A token alone gives the same bits.
        std::vector<float> alone(static_cast<std::size_t>(n));
        table_->linear_transposed({.weight = &w.tensor,
                                   .x = x.floats() + 17 * rows,
                                   .x_ld = rows,
                                   .tokens = 1,
                                   .out = alone.data(),
                                   .out_ld = n});
        ASSERT_EQ(std::memcmp(alone.data(), out.floats() + 17 * n, alone.size() * sizeof(float)), 0) << name_of(type);
      }
    }
}

// The largest codes meet the largest activations, with either sign: no partial sum may overflow or saturate.
TEST_P(Products, ExtremeCodesDoNotOverflow) {
  for (const DType type : block_types()) {
    const std::int64_t n = 512;
    for (const std::uint8_t fill : {0x00, 0x0f, 0x7f, 0x80, 0x81, 0xf0, 0xff}) {
      Weights w = random_weights(type, 5, n, random_);
      const auto& info = base::info(type);
      auto* b = reinterpret_cast<std::uint8_t*>(w.bytes.data());
      for (std::size_t at = 0; at < w.bytes.size(); at += info.block_bytes)
        for (std::size_t k = type == DType::kMXFP4 ? 1 : 0; k < info.block_bytes; ++k) {
          const auto fields = half_fields(type);
          const auto in_half = [&](std::size_t f) { return k == f || k == f + 1; };
          if (std::none_of(fields.begin(), fields.end(), in_half)) b[at + k] = fill;
        }
      for (const float sign : {1.0f, -1.0f}) {
        Inputs in(*table_, 2, n, random_);
        for (std::int64_t i = 0; i < n; ++i) in.x.floats()[i] = sign;
        for (std::int64_t i = 0; i < n; ++i) in.x.floats()[n + i] = i % 2 ? sign : -sign;
        if (table_->pack)
          for (std::int64_t t = 0; t < 2; ++t)
            table_->pack(in.row(t), n, in.packed.data() + static_cast<std::size_t>(t) * in.stride);
        expect_sums(w.tensor, in, product(linear_of(*table_, type), w.tensor, in), table_->pack != nullptr);
      }
    }
  }
}

// A row whose last chunk is not full is read on into the next row: a scale there that is no number must not show.
TEST_P(Products, BrokenScalesStayInTheirRow) {
  for (const DType type : block_types()) {
    if (base::info(type).block_elems != 32 || half_fields(type).empty()) continue;
    const std::int64_t n = 288, rows = 9;
    Weights w = random_weights(type, rows, n, random_);
    for (const std::int64_t r : {2, 5, 8}) {
      std::byte* row = w.bytes.data() + static_cast<std::size_t>(r) * w.tensor.row_stride();
      for (std::size_t at = 0; at < w.tensor.row_stride(); at += base::info(type).block_bytes)
        for (const std::size_t field : half_fields(type)) row[at + field + 1] = std::byte{0x7e};
    }
    for (const std::int64_t tokens : {1, 2, 20}) {
      const Inputs in(*table_, tokens, n, random_);
      for (auto* linear : {linear_of(*table_, type), table_->linear_f32}) {
        const std::vector<float> out = product(linear, w.tensor, in);
        for (std::size_t i = 0; i < out.size(); ++i) {
          const std::size_t r = i % rows;
          EXPECT_EQ(std::isnan(out[i]), r == 2 || r == 5 || r == 8) << name_of(type) << " row " << r;
        }
      }
    }
  }
}

// Numbers that are not finite, huge or tiny must not crash, and poison only the rows they are in.
TEST_P(Products, StrangeActivations) {
  const std::int64_t n = 256;
  const Weights w = random_weights(DType::kQ8_0, 4, n, random_);
  for (const float strange : {std::nanf(""), HUGE_VALF, -HUGE_VALF, 3e38f, 1e-38f, 1e-45f, -0.0f}) {
    Inputs in(*table_, 2, n, random_);
    std::fill_n(in.x.floats(), 32, strange);
    in.x.floats()[40] = strange;
    if (table_->pack) table_->pack(in.row(0), n, in.packed.data());
    const std::vector<float> out = product(linear_of(*table_, DType::kQ8_0), w.tensor, in);
    for (std::size_t o = 0; o < 4; ++o) {
      if (!std::isfinite(strange)) {
        EXPECT_FALSE(std::isfinite(out[o])) << strange;
      } else if (std::abs(strange) < 1) {
        EXPECT_TRUE(std::isfinite(out[o])) << strange;
      }
      EXPECT_TRUE(std::isfinite(out[4 + o])) << strange;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tables, Products, testing::Values("scalar", "avx2", "avx512"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace fathom::kernels::test
