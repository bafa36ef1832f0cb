// The gates of V2 and V3 against definitions written out by brute force.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <set>

#include "model/experts.h"

namespace fathom::model {
namespace {

struct Choice {
  std::vector<std::int32_t> experts;
  std::vector<float> weights;
};

Choice choose(const MoeConfig& moe, const std::vector<float>& logits, const std::vector<float>& bias) {
  Choice c{std::vector<std::int32_t>(static_cast<std::size_t>(moe.used)),
           std::vector<float>(static_cast<std::size_t>(moe.used))};
  choose_experts(moe, logits, bias, c.experts.data(), c.weights.data());
  return c;
}

// Indices of the k largest values.
std::vector<std::size_t> largest(const std::vector<double>& v, std::size_t k) {
  std::vector<std::size_t> order(v.size());
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) { return v[a] > v[b]; });
  order.resize(k);
  return order;
}

std::vector<double> scores(const MoeConfig& moe, const std::vector<float>& logits) {
  std::vector<double> s(logits.begin(), logits.end());
  double sum = 0;
  for (double& v : s) {
    v = moe.score == GateScore::kSigmoid ? 1 / (1 + std::exp(-v)) : std::exp(v);
    sum += v;
  }
  if (moe.score == GateScore::kSoftmax)
    for (double& v : s) v /= sum;
  return s;
}

void expect_brute_force(const MoeConfig& moe, const std::vector<float>& logits, const std::vector<float>& bias) {
  const auto s = scores(moe, logits);
  auto choice = s;
  for (std::size_t e = 0; e < bias.size(); ++e) choice[e] += bias[e];
  if (moe.grouping != GateGroups::kNone) {
    const auto size = choice.size() / static_cast<std::size_t>(moe.groups);
    std::vector<double> rank;
    for (std::size_t g = 0; g < choice.size(); g += size) {
      std::vector<double> group(choice.begin() + static_cast<std::ptrdiff_t>(g),
                                choice.begin() + static_cast<std::ptrdiff_t>(g + size));
      std::ranges::sort(group, std::greater{});
      rank.push_back(moe.grouping == GateGroups::kTwoBest ? group[0] + group[1] : group[0]);
    }
    const auto kept = largest(rank, static_cast<std::size_t>(moe.groups_used));
    for (std::size_t e = 0; e < choice.size(); ++e)
      if (std::ranges::find(kept, e / size) == kept.end()) choice[e] = -1e30;
  }
  const auto best = largest(choice, static_cast<std::size_t>(moe.used));
  const std::set<std::int32_t> expected(best.begin(), best.end());
  double sum = 0;
  for (const std::size_t e : best) sum += s[e];
  const Choice got = choose(moe, logits, bias);
  EXPECT_EQ(std::set<std::int32_t>(got.experts.begin(), got.experts.end()), expected);
  EXPECT_TRUE(std::ranges::is_sorted(got.experts));
  for (std::size_t k = 0; k < got.experts.size(); ++k) {
    double w = s[static_cast<std::size_t>(got.experts[k])];
    if (moe.normalise) w /= sum;
    if (!moe.normalise || moe.scale_normalised) w *= moe.scale;
    EXPECT_NEAR(got.weights[k], w, 1e-6 * std::max(1.0, w));
  }
}

std::vector<float> random_values(std::size_t n, float width, unsigned seed) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal(0, width);
  std::vector<float> v(n);
  for (float& x : v) x = normal(rng);
  return v;
}

TEST(Gate, V2LiteTakesTheLikeliest) {
  const MoeConfig moe{.experts = 64, .used = 6, .scale_normalised = false, .scale = 1.0f};
  for (unsigned seed = 0; seed < 50; ++seed) expect_brute_force(moe, random_values(64, 2, seed), {});
}

TEST(Gate, V2RanksGroupsByTheirBestAndScales) {
  const MoeConfig moe{.experts = 160,
                      .used = 6,
                      .grouping = GateGroups::kBest,
                      .groups = 8,
                      .groups_used = 3,
                      .scale_normalised = false,
                      .scale = 16.0f};
  for (unsigned seed = 0; seed < 50; ++seed) expect_brute_force(moe, random_values(160, 2, seed), {});
}

TEST(Gate, V2DoesNotScaleWhatItNormalised) {
  const MoeConfig moe{.experts = 16, .used = 4, .normalise = true, .scale_normalised = false, .scale = 16.0f};
  const Choice c = choose(moe, random_values(16, 2, 3), {});
  EXPECT_NEAR(std::accumulate(c.weights.begin(), c.weights.end(), 0.0), 1.0, 1e-6);
}

TEST(Gate, V3RanksGroupsByTwoBiasedAndWeighsWithoutBias) {
  const MoeConfig moe{.experts = 256,
                      .used = 8,
                      .score = GateScore::kSigmoid,
                      .grouping = GateGroups::kTwoBest,
                      .bias = true,
                      .groups = 8,
                      .groups_used = 4,
                      .normalise = true,
                      .scale = 2.5f};
  for (unsigned seed = 0; seed < 50; ++seed)
    expect_brute_force(moe, random_values(256, 2, seed), random_values(256, 0.3f, seed + 1000));
}

// All biased scores negative: a group left out must still not win (masking with zero would let it).
TEST(Gate, LeftOutGroupsNeverWinAgainstNegativeScores) {
  const MoeConfig moe{.experts = 8,
                      .used = 2,
                      .score = GateScore::kSigmoid,
                      .grouping = GateGroups::kTwoBest,
                      .bias = true,
                      .groups = 4,
                      .groups_used = 1,
                      .normalise = true,
                      .scale = 1.0f};
  const std::vector<float> bias(8, -3.0f);
  const Choice c = choose(moe, {0, 0, 5, 5, 0, 0, 0, 0}, bias);
  EXPECT_EQ(c.experts, (std::vector<std::int32_t>{2, 3}));
}

}  // namespace
}  // namespace fathom::model
