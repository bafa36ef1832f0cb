#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

namespace fathom::engine {
namespace {

using tokens::TokenId;

std::map<TokenId, int> draw(SamplingOptions options, const std::vector<float>& logits, int n) {
  Sampler sampler(options, static_cast<std::int64_t>(logits.size()), {});
  std::map<TokenId, int> counts;
  for (int i = 0; i < n; ++i) {
    auto copy = logits;
    ++counts[sampler.sample(copy)];
  }
  return counts;
}

TEST(Sampler, GreedyTakesTheHighestAndTheLowerOfEquals) {
  EXPECT_EQ(draw({.temperature = 0}, {1, 5, 2, 5}, 3), (std::map<TokenId, int>{{1, 3}}));
}

// Chi-square against softmax at three temperatures; 0.001 quantile of 5 degrees of freedom is 20.5.
TEST(Sampler, DrawsFromSoftmax) {
  const std::vector<float> logits{0.0f, 1.0f, 2.0f, -1.0f, 0.5f, 1.5f};
  for (const float temperature : {0.5f, 1.0f, 2.0f}) {
    double total = 0;
    for (const float l : logits) total += std::exp(l / temperature);
    constexpr int kDraws = 50000;
    const auto counts = draw({.temperature = temperature, .seed = 7}, logits, kDraws);
    double chi = 0;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const double expected = kDraws * std::exp(logits[i] / temperature) / total;
      const auto it = counts.find(static_cast<TokenId>(i));
      const double got = it == counts.end() ? 0 : it->second;
      chi += (got - expected) * (got - expected) / expected;
    }
    EXPECT_LT(chi, 20.5) << "temperature " << temperature;
  }
}

TEST(Sampler, TheSameSeedGivesTheSameDraws) {
  const std::vector<float> logits{0, 0, 0, 0, 0, 0, 0, 0};
  EXPECT_EQ(draw({.seed = 1}, logits, 100), draw({.seed = 1}, logits, 100));
  EXPECT_NE(draw({.seed = 1}, logits, 100), draw({.seed = 2}, logits, 100));
}

TEST(Sampler, TopKKeepsTheLikeliest) {
  const auto counts = draw({.top_k = 2}, {1, 3, 2, 0}, 2000);
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_TRUE(counts.contains(1) && counts.contains(2));
}

TEST(Sampler, TopPKeepsTheFewestThatReachTheMass) {
  // Probabilities 0.5, 0.25, 0.125, 0.125.
  const std::vector<float> logits{std::log(4.0f), std::log(2.0f), 0, 0};
  EXPECT_EQ(draw({.top_p = 0.4f}, logits, 1000).size(), 1u);
  EXPECT_EQ(draw({.top_p = 0.7f}, logits, 1000).size(), 2u);
  EXPECT_EQ(draw({.top_p = 1.0f}, logits, 2000).size(), 4u);
}

TEST(Sampler, MinPDropsWhatIsFarBelowTheLikeliest) {
  const std::vector<float> logits{std::log(10.0f), std::log(2.0f), 0};
  const auto counts = draw({.min_p = 0.15f}, logits, 2000);
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_FALSE(counts.contains(2));
}

TEST(Sampler, PenaltiesPushDownWhatWasSaid) {
  const std::vector<float> logits{2.0f, 1.9f};
  const auto choose = [&](SamplingOptions options, std::vector<TokenId> prompt, std::vector<TokenId> answer) {
    options.temperature = 0;
    Sampler sampler(options, 2, prompt);
    for (const TokenId id : answer) sampler.accept(id);
    auto copy = logits;
    return sampler.sample(copy);
  };
  EXPECT_EQ(choose({}, {0}, {0}), 0);
  EXPECT_EQ(choose({.repetition_penalty = 1.2f}, {0}, {}), 1);
  EXPECT_EQ(choose({.presence_penalty = 0.5f}, {0}, {}), 0) << "the prompt does not count";
  EXPECT_EQ(choose({.presence_penalty = 0.5f}, {}, {0}), 1);
  EXPECT_EQ(choose({.frequency_penalty = 0.06f}, {}, {0}), 0);
  EXPECT_EQ(choose({.frequency_penalty = 0.06f}, {}, {0, 0}), 1);
  EXPECT_EQ(choose({.logit_bias = {{1, 0.2f}}}, {}, {}), 1);
}

TEST(Sampler, ASeedRepeatsItsDrawsAndNoSeedDrawsAnew) {
  const auto draws = [](std::uint64_t seed) {
    Sampler sampler({.temperature = 1, .seed = seed}, 100, {});
    std::vector<TokenId> ids;
    for (int i = 0; i < 20; ++i) {
      std::vector<float> logits(100);
      ids.push_back(sampler.sample(logits));
    }
    return ids;
  };
  EXPECT_EQ(draws(chosen_seed(0)), draws(chosen_seed(0)));
  EXPECT_NE(draws(chosen_seed(0)), draws(1));
  EXPECT_NE(draws(0), draws(0));
}

}  // namespace
}  // namespace fathom::engine
