// Attention over paged caches of every type, against a softmax in doubles over the rows as the cache gives them back.
#include <gtest/gtest.h>

#include <algorithm>

#include "random_weights.h"

namespace fathom::kernels::test {
namespace {

constexpr double kEps = 0x1p-24;

class Attention : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    table_ = find_table(GetParam());
    if (!table_) GTEST_SKIP() << "this machine cannot run " << GetParam();
  }
  const Table* table_ = nullptr;
  std::mt19937 random_{3};
};

// Rows of n numbers in pages of their own, the last of which ends at an inaccessible page.
struct Pages {
  std::vector<GuardedBytes> bytes;
  std::vector<const std::byte*> pages;
  std::size_t stride;
  std::vector<float> rows;  // [positions][n], as read back

  Pages(DType type, std::int64_t positions, std::int64_t page_tokens, std::int64_t n, std::mt19937& random)
      : stride(cache_row_bytes(type, n)), rows(static_cast<std::size_t>(positions * n)) {
    const Table& scalar = *find_table("scalar");
    fill_normal(rows.data(), rows.size(), random);
    for (std::int64_t s = 0; s < positions; ++s) {
      if (s % page_tokens == 0) {
        const std::int64_t in_page = std::min(page_tokens, positions - s);
        bytes.emplace_back(stride * static_cast<std::size_t>(in_page));
        pages.push_back(bytes.back().data());
      }
      std::byte* row = bytes.back().data() + stride * static_cast<std::size_t>(s % page_tokens);
      scalar.store_row(rows.data() + s * n, n, type, row);
      scalar.load_row(row, n, type, rows.data() + s * n);
    }
  }
};

struct Shape {
  std::int64_t heads, width, value_width, positions, page_tokens;
  bool latent;  // values are the beginnings of the keys
};

struct Case {
  Shape shape;
  Pages keys, values;
  GuardedBytes q, out;
  std::vector<float> scratch;

  Case(const Shape& s, DType type, std::mt19937& random)
      : shape(s),
        keys(type, s.positions, s.page_tokens, s.width, random),
        values(type, s.positions, s.page_tokens, s.value_width, random),
        q(guarded_floats(static_cast<std::size_t>(s.heads * s.width))),
        out(guarded_floats(static_cast<std::size_t>(s.heads * s.value_width))),
        scratch(static_cast<std::size_t>(s.heads * s.positions)) {
    fill_normal(q.floats(), static_cast<std::size_t>(s.heads * s.width), random);
  }

  AttentionArgs args(DType type) {
    return {.heads = shape.heads,
            .q = q.floats(),
            .q_ld = shape.width,
            .width = shape.width,
            .value_width = shape.value_width,
            .type = type,
            .key_pages = keys.pages.data(),
            .value_pages = shape.latent ? keys.pages.data() : values.pages.data(),
            .key_stride = keys.stride,
            .value_stride = shape.latent ? keys.stride : values.stride,
            .page_tokens = shape.page_tokens,
            .positions = shape.positions,
            .scale = 1.0f / std::sqrt(static_cast<float>(shape.width)),
            .out = out.floats(),
            .out_ld = shape.value_width,
            .scratch = scratch.data()};
  }

  // Scores in doubles; their errors in fp32 are at most (width / 8 + 8) eps times the sum of magnitudes and change a
  // weight by that share of itself (and the mean of values by twice that of the largest value); the exponential, the
  // sum of n weights and the sum of n values add (n / 8 + n + 16) eps.
  void expect_softmax(const AttentionArgs& a) const {
    const auto n = static_cast<double>(shape.positions);
    const std::vector<float>& value_rows = shape.latent ? keys.rows : values.rows;
    const std::int64_t value_ld = shape.latent ? shape.width : shape.value_width;
    for (std::int64_t h = 0; h < shape.heads; ++h) {
      std::vector<double> p(static_cast<std::size_t>(shape.positions));
      double top = -HUGE_VAL, score_error = 0;
      for (std::int64_t s = 0; s < shape.positions; ++s) {
        double score = 0, magnitude = 0;
        for (std::int64_t i = 0; i < shape.width; ++i) {
          const double term = static_cast<double>(q.floats()[h * shape.width + i]) *
                              static_cast<double>(keys.rows[static_cast<std::size_t>(s * shape.width + i)]);
          score += term;
          magnitude += std::abs(term);
        }
        const double scale = static_cast<double>(a.scale);
        p[static_cast<std::size_t>(s)] = score * scale;
        top = std::max(top, score * scale);
        score_error = std::max(score_error, (static_cast<double>(shape.width) / 8 + 8) * kEps * magnitude * scale);
      }
      double sum = 0;
      for (double& x : p) sum += x = std::exp(x - top);
      for (std::int64_t i = 0; i < shape.value_width; ++i) {
        double y = 0, magnitude = 0;
        for (std::int64_t s = 0; s < shape.positions; ++s) {
          const double term = p[static_cast<std::size_t>(s)] / sum *
                              static_cast<double>(value_rows[static_cast<std::size_t>(s * value_ld + i)]);
          y += term;
          magnitude += std::abs(term);
        }
        const double bound = magnitude * (4 * score_error + (1.125 * n + 16) * kEps) + 1e-12;
        ASSERT_NEAR(out.floats()[h * shape.value_width + i], y, bound)
            << "head " << h << " of " << shape.heads << " width " << shape.width << " positions " << shape.positions;
      }
    }
  }
};

const Shape kShapes[] = {
    {1, 64, 64, 1, 16, false},    {3, 64, 64, 37, 16, false},  {6, 128, 128, 100, 64, false},
    {7, 128, 128, 33, 32, false}, {9, 192, 128, 40, 8, false}, {16, 576, 512, 70, 64, true},
    {2, 65, 33, 50, 7, false},    {5, 17, 1, 18, 1, false},    {1, 1, 3, 9, 4, false},
    {13, 100, 90, 21, 16, true},  {4, 80, 80, 300, 64, false},
};

TEST_P(Attention, WeighsValuesByTheSoftmaxOfScores) {
  for (const DType type : {DType::kF32, DType::kBF16, DType::kI8})
    for (const Shape& shape : kShapes) {
      Case c(shape, type, random_);
      const AttentionArgs args = c.args(type);
      table_->attention(args);
      SCOPED_TRACE(name_of(type));
      c.expect_softmax(args);
    }
}

TEST_P(Attention, AHeadsBitsDoNotDependOnTheOthers) {
  for (const DType type : {DType::kF32, DType::kBF16, DType::kI8}) {
    Case c({13, 100, 90, 41, 16, false}, type, random_);
    AttentionArgs args = c.args(type);
    table_->attention(args);
    for (std::int64_t h = 0; h < 13; ++h) {
      std::vector<float> alone(90);
      AttentionArgs one = args;
      one.heads = 1;
      one.q = args.q + h * args.q_ld;
      one.out = alone.data();
      table_->attention(one);
      ASSERT_EQ(std::memcmp(alone.data(), args.out + h * args.out_ld, alone.size() * sizeof(float)), 0) << h;
    }
  }
}

TEST_P(Attention, NoPositionsGiveZero) {
  float out[5] = {1, 1, 1, 1, 1};
  table_->attention({.heads = 1, .width = 8, .value_width = 4, .page_tokens = 16, .out = out, .out_ld = 4});
  EXPECT_EQ(out[0], 0);
  EXPECT_EQ(out[3], 0);
  EXPECT_EQ(out[4], 1);
}

// Scores far apart: e^(score - top) underflows for all but one position.
TEST_P(Attention, SharpScoresPickOnePosition) {
  Case c({2, 64, 64, 70, 16, false}, DType::kF32, random_);
  AttentionArgs args = c.args(DType::kF32);
  args.scale = 1000;
  table_->attention(args);
  for (std::int64_t h = 0; h < 2; ++h) {
    std::int64_t best = 0;
    double top = -HUGE_VAL;
    for (std::int64_t s = 0; s < 70; ++s) {
      double score = 0;
      for (std::int64_t i = 0; i < 64; ++i)
        score += static_cast<double>(args.q[h * 64 + i]) *
                 static_cast<double>(c.keys.rows[static_cast<std::size_t>(s * 64 + i)]);
      if (score > top) {
        top = score;
        best = s;
      }
    }
    for (std::int64_t i = 0; i < 64; ++i)
      EXPECT_NEAR(args.out[h * 64 + i], c.values.rows[static_cast<std::size_t>(best * 64 + i)], 1e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(Tables, Attention, testing::Values("scalar", "avx2", "avx512"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace fathom::kernels::test
