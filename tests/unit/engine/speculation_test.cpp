// Drafts change when a token comes, never which.
#include "engine/speculation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "counting_model.h"
#include "engine/batch_engine.h"
#include "engine/draft_model.h"
#include "engine/score.h"
#include "golden_cases.h"
#include "seen.h"

namespace fathom::engine {
namespace {

using Ids = std::vector<tokens::TokenId>;

Ids guessed(const Ids& ids, std::size_t most) {
  Drafts drafts;
  look_up(ids, most, drafts.tokens);
  return drafts.tokens;
}

TEST(LookUp, FindsWhatFollowedTheSameTokensLast) {
  EXPECT_EQ(guessed({1, 2, 3, 9, 9, 1, 2, 3, 4, 5, 1, 2, 3}, 2), (Ids{4, 5}));
  EXPECT_EQ(guessed({1, 2, 3, 4, 5, 1, 2, 3}, 7), (Ids{4, 5, 1, 2, 3}));
  EXPECT_EQ(guessed({7, 7, 7, 7}, 7), Ids{7});
  EXPECT_EQ(guessed({1, 2, 3, 4, 2, 3}, 7), Ids{});
  EXPECT_EQ(guessed({1, 2, 3, 4, 1, 2, 3}, 0), Ids{});
  EXPECT_EQ(guessed({1, 2}, 7), Ids{});
}

TEST(Guess, BeginsWithTheModelsOwn) {
  const Ids ids{1, 2, 3, 4, 5, 1, 2, 3};
  Drafts drafts;
  guess(ids, 4, 3, drafts.tokens);
  EXPECT_EQ(drafts.tokens, (Ids{4, 5, 1}));
  guess(ids, 9, 3, drafts.tokens);
  EXPECT_EQ(drafts.tokens, Ids{9});
  guess(ids, -1, 3, drafts.tokens);
  EXPECT_EQ(drafts.tokens, (Ids{4, 5, 1}));
  guess(ids, 9, 0, drafts.tokens);
  EXPECT_EQ(drafts.tokens, Ids{});
}

TEST(DraftCost, PaysWhereRowsAreCheapAndGuessesGood) {
  DraftCost cheap, dear;
  for (DraftCost* cost : {&cheap, &dear}) {
    EXPECT_EQ(cost->worth(1, 1), 0u);  // what a plain step takes is not known
    cost->record(0.1, 1, 0);
    EXPECT_GT(cost->worth(0, 1), 0u);  // nor what a row costs
    cost->record(cost == &cheap ? 0.12 : 0.3, 1, 2);
  }
  EXPECT_EQ(cheap.worth(1, 1), Drafts::kMost);
  EXPECT_GE(cheap.worth(0.5, 1), 2u);
  EXPECT_EQ(cheap.worth(0.05, 1), 0u);
  EXPECT_EQ(dear.worth(0.9, 1), 0u);
  EXPECT_EQ(cheap.worth(1, 2), 0u);  // another number of runs: measured again
}

TEST(Drafts, RememberHowTheyFared) {
  Drafts drafts;
  for (int i = 0; i < 40; ++i) {
    drafts.tokens = {1, 2};
    drafts.judge(2);
  }
  EXPECT_GT(drafts.share, 0.95);
  for (int i = 0; i < 40; ++i) {
    drafts.tokens = {1, 2};
    drafts.judge(0);
  }
  EXPECT_LT(drafts.share, 0.05);
  EXPECT_TRUE(drafts.tokens.empty());
}

// After a token most often the next number, sometimes any of three others: what drafts guess is right and wrong.
class WaveringModel final : public model::Model {
 public:
  static constexpr std::int64_t kVocabulary = 20;

  WaveringModel()
      : Model({.vocabulary = kVocabulary,
               .dim = 4,
               .layers = 1,
               .heads = 1,
               .kv_heads = 1,
               .head_dim = 4,
               .context = 4096}) {}
  std::vector<weights::TensorSpec> describe() override { return {}; }
  std::vector<model::CachePlane> cache_planes() const override { return {{.heads = 1, .width = 1}}; }

  void forward(model::Step& step) const override {
    std::int64_t wanted = 0;
    for (const auto& row : step.row_list()) wanted += row.logits ? 1 : 0;
    float* logits = step.floats(wanted, kVocabulary);
    step.logits = {logits, static_cast<std::size_t>(wanted * kVocabulary)};
    for (const auto& row : step.row_list()) {
      if (!row.logits) continue;
      for (std::int64_t v = 0; v < kVocabulary; ++v) {
        const std::int64_t ahead = (v - row.token + kVocabulary) % kVocabulary;
        logits[v] = ahead == 1 ? 3.0f : ahead < 5 ? 1.0f : -9.0f;
      }
      logits += kVocabulary;
    }
  }
};

std::unique_ptr<Runner> runner_of(std::unique_ptr<model::Model> model) {
  auto runner = Runner::make(std::move(model), "tiny", {.threads = 1, .context = 1000, .cache_type = "f32"});
  EXPECT_TRUE(runner);
  return std::move(*runner);
}

template <class M, class... Args>
Seen& answer(Seen& seen, engine::Run run, Speculate speculate, Args... args) {
  const auto runner = runner_of(std::make_unique<M>(args...));
  auto engine = BatchEngine::make(*runner, {}, {.speculate = speculate});
  EXPECT_TRUE(engine);
  EXPECT_TRUE((*engine)->submit(std::move(run), seen.sink()));
  seen.wait();
  engine->reset();
  return seen;
}

TEST(Speculation, GreedyAnswersAreTheSameInFewerSteps) {
  const auto run = [] { return engine::Run{.prompt = {3}, .sampling = {.temperature = 0}, .max_tokens = 500}; };
  Seen with, without;
  answer<CountingModel>(with, run(), Speculate::kAlways, std::chrono::microseconds(0));
  answer<CountingModel>(without, run(), Speculate::kNever, std::chrono::microseconds(0));
  EXPECT_EQ(with.ids, without.ids);
  EXPECT_EQ(with.ids.size(), 500u);
  EXPECT_EQ(without.statistics.drafted_tokens, 0);
  EXPECT_GT(with.statistics.accepted_tokens, 350);  // the count begins again after 50
  EXPECT_GE(with.statistics.drafted_tokens, with.statistics.accepted_tokens);
}

// The sampler sees the same logits in the same order, so the same seed gives the same answer: the distribution is the
// same because every draw of it is.
TEST(Speculation, SampledAnswersAreTheSameDrawForDraw) {
  int drafted = 0, accepted = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const auto run = [&] {
      return engine::Run{.prompt = {3},
                         .sampling = {.temperature = 1, .top_p = 0.95f, .frequency_penalty = 0.01f, .seed = seed},
                         .max_tokens = 300};
    };
    Seen with, without;
    answer<WaveringModel>(with, run(), Speculate::kAlways);
    answer<WaveringModel>(without, run(), Speculate::kNever);
    ASSERT_EQ(with.ids, without.ids) << seed;
    drafted += with.statistics.drafted_tokens;
    accepted += with.statistics.accepted_tokens;
  }
  EXPECT_GT(accepted, drafted / 10);
  EXPECT_LT(accepted, drafted * 9 / 10);
}

TEST(Speculation, EndsWhereTheAnswerEnds) {
  for (const bool stop : {false, true}) {
    engine::Run run{.prompt = {3}, .sampling = {.temperature = 0}, .max_tokens = 120, .stop_tokens = {2}};
    run.ignore_stop = !stop;
    Seen seen;
    answer<CountingModel>(seen, std::move(run), Speculate::kAlways, std::chrono::microseconds(0));
    EXPECT_EQ(seen.ids.size(), stop ? 49u : 120u);
    EXPECT_EQ(seen.finish, stop ? FinishReason::kStop : FinishReason::kLength);
  }
}

std::shared_ptr<DraftModel> draft_model(std::unique_ptr<model::Model> model) {
  auto made = DraftModel::make(runner_of(std::move(model)));
  EXPECT_TRUE(made);
  return std::move(*made);
}

// Numbers count up from 3 past the draft's last, and a draft that always says what comes next is always right.
TEST(DraftModel, GreedyAnswersAreTheSameInFewerSteps) {
  for (const int prompt : {1, 300}) {  // the longer one is read in two calls
    Ids ids(static_cast<std::size_t>(prompt));
    for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<tokens::TokenId>((i + 3) % 50);
    const auto run = [&] { return engine::Run{.prompt = ids, .sampling = {.temperature = 0}, .max_tokens = 100}; };
    Seen with, without;
    answer<CountingModel>(without, run(), Speculate::kNever, std::chrono::microseconds(0));
    const auto runner = runner_of(std::make_unique<CountingModel>(std::chrono::microseconds(0)));
    auto engine =
        BatchEngine::make(*runner, {},
                          {.speculate = Speculate::kAlways,
                           .draft = draft_model(std::make_unique<CountingModel>(std::chrono::microseconds(0)))});
    ASSERT_TRUE(engine);
    ASSERT_TRUE((*engine)->submit(run(), with.sink()));
    with.wait();
    EXPECT_EQ(with.ids, without.ids);
    EXPECT_EQ(with.statistics.accepted_tokens, with.statistics.drafted_tokens);
    EXPECT_GE(with.statistics.accepted_tokens, 80);
  }
}

// Guesses are right and wrong by turns, so what the draft's cache holds behind the wrong ones must be written again:
// CountingModel itself checks what it finds there.
TEST(DraftModel, RunsOfABatchEachGetTheirOwnAnswer) {
  constexpr std::size_t kRuns = 12;
  const auto talk = [&](std::array<Seen, kRuns>& seen, std::shared_ptr<DraftModel> draft, Speculate speculate) {
    const auto runner = runner_of(std::make_unique<WaveringModel>());
    auto engine = BatchEngine::make(*runner, {}, {.speculate = speculate, .draft = std::move(draft)});
    ASSERT_TRUE(engine);
    for (std::size_t i = 0; i < kRuns; ++i) {
      const auto number = static_cast<std::int32_t>(i);
      ASSERT_TRUE((*engine)->submit(
          {.prompt = Ids(1 + i * 7, number), .sampling = {.temperature = 1, .seed = i + 1}, .max_tokens = 60 + number},
          seen[i].sink()));
    }
    for (Seen& s : seen) s.wait();
  };
  std::array<Seen, kRuns> with, without;
  talk(with, draft_model(std::make_unique<CountingModel>(std::chrono::microseconds(0))), Speculate::kAlways);
  talk(without, nullptr, Speculate::kNever);
  int drafted = 0, accepted = 0;
  for (std::size_t i = 0; i < kRuns; ++i) {
    EXPECT_EQ(with[i].ids, without[i].ids) << i;
    drafted += with[i].statistics.drafted_tokens;
    accepted += with[i].statistics.accepted_tokens;
  }
  EXPECT_GT(accepted, drafted / 10);
  EXPECT_LT(accepted, drafted);
}

// What a run draws, over many seeds, has the model's own distribution, drafts or not: chi-square of the second token
// after 3, whose expectation is computed from the logits.
double chi_square(Speculate speculate, std::shared_ptr<DraftModel> draft) {
  constexpr int kDraws = 20000;
  std::array<double, WaveringModel::kVocabulary> counts{}, expected{};
  const double all = std::exp(3.0) + 4 * std::exp(1.0) + 15 * std::exp(-9.0);
  const auto chance = [&](int ahead) { return std::exp(ahead == 1 ? 3.0 : ahead < 5 ? 1.0 : -9.0) / all; };
  for (int first = 0; first < 20; ++first)
    for (int second = 0; second < 20; ++second)
      expected[static_cast<std::size_t>((3 + first + second) % 20)] += kDraws * chance(first) * chance(second);
  const auto runner = runner_of(std::make_unique<WaveringModel>());
  auto engine = BatchEngine::make(*runner, {}, {.speculate = speculate, .draft = std::move(draft)});
  EXPECT_TRUE(engine);
  for (std::uint64_t seed = 1; seed <= kDraws; ++seed) {
    Seen seen;
    EXPECT_TRUE((*engine)->submit({.prompt = {3, 9, 3}, .sampling = {.temperature = 1, .seed = seed}, .max_tokens = 3},
                                  seen.sink()));
    seen.wait();
    ++counts[static_cast<std::size_t>(seen.ids[1])];
  }
  // Cells that hardly anything falls into are one.
  double sum = 0, rare = 0, rare_expected = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (expected[i] >= 20) {
      sum += (counts[i] - expected[i]) * (counts[i] - expected[i]) / expected[i];
    } else {
      rare += counts[i], rare_expected += expected[i];
    }
  }
  return sum + (rare - rare_expected) * (rare - rare_expected) / std::max(rare_expected, 1.0);
}

TEST(Speculation, SampledTokensHaveTheModelsDistribution) {
  constexpr double kLimit = 27.9;  // 9 common tokens and the rest: 9 degrees of freedom, exceeded once in 1,000
  EXPECT_LT(chi_square(Speculate::kNever, nullptr), kLimit);
  EXPECT_LT(chi_square(Speculate::kAlways, draft_model(std::make_unique<WaveringModel>())), kLimit);
}

// Real arithmetic: the same bits, for every architecture.
class SpeculationProperties : public testing::TestWithParam<GoldenCase> {};

TEST_P(SpeculationProperties, AnswersHaveTheSameBits) {
  // Of three tokens there are 27 sequences of three: one of them comes again, so something is guessed.
  const auto talk = [&](Speculate speculate, Seen& seen) {
    auto runner = Runner::load(GetParam().path, {.threads = 1, .context = 256, .prefill_cell = 16});
    ASSERT_TRUE(runner) << runner.error().message;
    auto engine = BatchEngine::make(**runner, {}, {.speculate = speculate});
    ASSERT_TRUE(engine);
    ASSERT_TRUE((*engine)->submit(
        {.prompt = GetParam().ids,
         .sampling = {.temperature = 0, .logit_bias = {{10, 100}, {11, 100}, {12, 100}}, .top_logprobs = 5},
         .max_tokens = 90},
        seen.sink()));
    seen.wait();
  };
  Seen with, without;
  talk(Speculate::kAlways, with);
  talk(Speculate::kNever, without);
  ASSERT_EQ(with.ids, without.ids);
  EXPECT_GT(with.statistics.drafted_tokens, 0);
  for (std::size_t i = 0; i < with.events.size(); ++i) {
    EXPECT_EQ(with.events[i].logprob, without.events[i].logprob) << i;
    for (std::size_t k = 0; k < with.events[i].top.size(); ++k)
      EXPECT_EQ(with.events[i].top[k].logprob, without.events[i].top[k].logprob) << i;
  }
}

// What an MTP layer guesses in the engine is what it says of the whole text at once.
class MtpProperties : public testing::TestWithParam<GoldenCase> {};

TEST_P(MtpProperties, TheModelsOwnGuessesAreThoseOfItsLayer) {
  auto runner = Runner::load(GetParam().path, {.threads = 1, .context = 256, .cache_type = "f32", .prefill_cell = 16});
  ASSERT_TRUE(runner) << runner.error().message;
  ASSERT_GT((*runner)->model().drafts(), 0);
  const Ids& prompt = GetParam().ids;
  Seen seen;
  {
    auto engine = BatchEngine::make(**runner, {}, {.speculate = Speculate::kAlways});
    ASSERT_TRUE(engine);
    ASSERT_TRUE(
        (*engine)->submit({.prompt = GetParam().ids, .sampling = {.temperature = 0}, .max_tokens = 80}, seen.sink()));
    seen.wait();
  }
  Ids all = prompt, own;
  all.insert(all.end(), seen.ids.begin(), seen.ids.end());
  ASSERT_TRUE(score(**runner, all, {.mtp_logits = [&](std::int64_t, std::span<const float> logits) {
    own.push_back(static_cast<tokens::TokenId>(std::ranges::max_element(logits) - logits.begin()));
  }}));
  std::size_t size = prompt.size() + 1;
  int drafted = 0, accepted = 0;
  Drafts drafts;
  while (size < all.size()) {
    guess(std::span(all).first(size), own[size - 2], std::min(Drafts::kMost, all.size() - size - 1), drafts.tokens);
    std::size_t right = 0;
    while (right < drafts.tokens.size() && all[size + right] == drafts.tokens[right]) ++right;
    drafted += static_cast<int>(drafts.tokens.size());
    accepted += static_cast<int>(right);
    size += right + 1;
  }
  EXPECT_EQ(seen.statistics.drafted_tokens, drafted);
  EXPECT_EQ(seen.statistics.accepted_tokens, accepted);
  EXPECT_GT(drafted, 0);
}

std::vector<GoldenCase> mtp_cases() {
  auto cases = golden_cases(40);
  std::erase_if(cases, [](const GoldenCase& c) { return c.name.find("mtp") == std::string::npos; });
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Goldens, MtpProperties, testing::ValuesIn(mtp_cases()), golden_test_name);
INSTANTIATE_TEST_SUITE_P(Goldens, SpeculationProperties, testing::ValuesIn(golden_cases(40)), golden_test_name);

}  // namespace
}  // namespace fathom::engine
