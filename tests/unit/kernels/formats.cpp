// Decoding of every storage format, by every table, against the elements computed one at a time in random_weights.h.
#include <gtest/gtest.h>

#include "base/half.h"
#include "random_weights.h"

namespace fathom::kernels::test {
namespace {

class Formats : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    table_ = find_table(GetParam());
    if (!table_) GTEST_SKIP() << "this machine cannot run " << GetParam();
  }
  const Table* table_ = nullptr;
};

// A decoder's only rounding is its last addition, so its result is the exact value rounded to fp32: equal to the
// double's rounding, because a double holds the exact value (two products of at most 21 bits, at most 2^21 apart).
void expect_decodes(const Table& table, const Weights& w) {
  const std::int64_t rows = w.tensor.dim(0), n = w.tensor.dim(1);
  GuardedBytes out = guarded_floats(static_cast<std::size_t>(n));
  for (std::int64_t r = 0; r < rows; ++r) {
    dequantize_row(table, w.tensor, r, out.floats());
    for (std::int64_t i = 0; i < n; ++i)
      ASSERT_EQ(out.floats()[i], static_cast<float>(element(w.tensor, r, i)))
          << name_of(w.tensor.dtype) << " row " << r << " element " << i;
  }
}

TEST_P(Formats, BlocksDecodeToTheRoundedValue) {
  std::mt19937 random(7);
  for (const DType type : block_types()) {
    const auto block = static_cast<std::int64_t>(base::info(type).block_elems);
    for (const std::int64_t blocks : {1, 3, 8, 13})
      expect_decodes(*table_, random_weights(type, 9, block * blocks, random));
  }
}

TEST_P(Formats, PlainTypesDecodeAtEveryWidth) {
  std::mt19937 random(8);
  for (const DType type : plain_types())
    for (const std::int64_t n : {1, 2, 7, 8, 15, 16, 17, 31, 100})
      expect_decodes(*table_, random_weights(type, 3, n, random));
}

// Scales that are powers of two leave the product exact; others round once, as the double's product does (24 + 4 bits).
TEST_P(Formats, BlockScalesOfEightBitFloatsApply) {
  std::mt19937 random(9);
  for (const std::int64_t n : {1, 100, 128, 129, 300}) expect_decodes(*table_, scaled_weights(140, n, 128, random));
  expect_decodes(*table_, scaled_weights(20, 100, 16, random));
  expect_decodes(*table_, scaled_weights(100, 200, 128, random, 77));
}

TEST_P(Formats, EveryEightBitAndSixteenBitFloatDecodes) {
  std::vector<std::uint16_t> all(65536);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(i);
  std::vector<float> out(all.size());
  const auto same = [](float a, float b) {
    return std::memcmp(&a, &b, sizeof a) == 0 || (std::isnan(a) && std::isnan(b));
  };
  for (const DType type : {DType::kF16, DType::kBF16}) {
    table_->decode[static_cast<std::size_t>(type)](reinterpret_cast<const std::byte*>(all.data()), 65536, out.data());
    for (std::size_t i = 0; i < all.size(); ++i) {
      const auto bits = static_cast<std::uint16_t>(i);
      ASSERT_TRUE(same(out[i], type == DType::kF16 ? base::f16_to_f32(bits) : base::bf16_to_f32(bits))) << i;
    }
  }
  std::vector<std::uint8_t> bytes(256);
  for (std::size_t i = 0; i < 256; ++i) bytes[i] = static_cast<std::uint8_t>(i);
  table_->decode[static_cast<std::size_t>(DType::kF8E4M3)](reinterpret_cast<const std::byte*>(bytes.data()), 256,
                                                           out.data());
  for (int i = 0; i < 256; ++i)
    ASSERT_TRUE(same(out[static_cast<std::size_t>(i)], static_cast<float>(e4m3_value(i)))) << i;
}

TEST_P(Formats, EveryExponentOfMxfp4Decodes) {
  for (int e = 0; e < 256; ++e) {
    Weights w{GuardedBytes(17), {}, {}};
    auto* b = reinterpret_cast<std::uint8_t*>(w.bytes.data());
    b[0] = static_cast<std::uint8_t>(e);
    for (int j = 0; j < 16; ++j) b[1 + j] = static_cast<std::uint8_t>(j | (15 - j) << 4);
    w.tensor = {.dtype = DType::kMXFP4, .rank = 2, .shape = {1, 32}, .data = w.bytes.data()};
    expect_decodes(*table_, w);
  }
}

INSTANTIATE_TEST_SUITE_P(Tables, Formats, testing::Values("scalar", "avx2", "avx512"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace fathom::kernels::test
