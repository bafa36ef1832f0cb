#include "engine/batch_engine.h"

#include <gtest/gtest.h>

#include <numeric>

#include "counting_model.h"
#include "seen.h"

namespace fathom::engine {
namespace {

class BatchEngineTest : public testing::Test {
 protected:
  void start(LoadOptions options = {.threads = 1, .context = 1000, .cache_type = "f32", .prefill_cell = 16},
             std::vector<tokens::TokenId> undefined = {},
             std::chrono::microseconds pause = std::chrono::microseconds(0)) {
    auto runner = Runner::make(std::make_unique<CountingModel>(pause), "counting", options);
    ASSERT_TRUE(runner) << runner.error().message;
    runner_ = std::move(*runner);
    auto engine = BatchEngine::make(*runner_, std::move(undefined));
    ASSERT_TRUE(engine) << engine.error().message;
    engine_ = std::move(*engine);
  }
  static engine::Run greedy(std::vector<tokens::TokenId> prompt, int max_tokens) {
    return {.prompt = std::move(prompt), .sampling = {.temperature = 0}, .max_tokens = max_tokens};
  }
  std::unique_ptr<Runner> runner_;
  std::unique_ptr<BatchEngine> engine_;
};

TEST_F(BatchEngineTest, CountsOnFromThePrompt) {
  start();
  Seen seen;
  ASSERT_TRUE(engine_->submit(greedy({3, 4, 5}, 4), seen.sink()));
  seen.wait();
  EXPECT_EQ(seen.ids, (std::vector<tokens::TokenId>{6, 7, 8, 9}));
  EXPECT_EQ(seen.finish, FinishReason::kLength);
  EXPECT_EQ(seen.statistics.prompt_tokens, 3);
  EXPECT_EQ(seen.statistics.generated_tokens, 4);
}

// Allows the tokens of `steps[i]` at the i-th place ({}: every token), and remembers what was accepted.
class ListedConstraint final : public Constraint {
 public:
  ListedConstraint(std::vector<std::vector<tokens::TokenId>> steps,
                   std::shared_ptr<std::vector<tokens::TokenId>> accepted)
      : steps_(std::move(steps)), accepted_(std::move(accepted)) {}

  std::span<const std::uint32_t> allowed() override {
    const auto& step = steps_.at(accepted_->size());
    if (step.empty()) return {};
    words_.assign(2, 0);
    for (const tokens::TokenId id : step)
      if (id >= 0) words_[static_cast<std::size_t>(id) / 32] |= std::uint32_t{1} << (id % 32);
    return words_;
  }
  bool accept(tokens::TokenId token) override {
    accepted_->push_back(token);
    return true;
  }
  void roll_back(int count) override { accepted_->resize(accepted_->size() - static_cast<std::size_t>(count)); }

 private:
  std::vector<std::vector<tokens::TokenId>> steps_;
  std::shared_ptr<std::vector<tokens::TokenId>> accepted_;
  std::vector<std::uint32_t> words_;
};

TEST_F(BatchEngineTest, TakesOnlyWhatAConstraintAllows) {
  start();
  Seen seen;
  const auto accepted = std::make_shared<std::vector<tokens::TokenId>>();
  engine::Run run = greedy({3}, 10);
  run.sampling.logit_bias = {{9, 100.0f}};  // a bias does not bring back what is not allowed
  run.sampling.repetition_penalty = 1.5f;
  run.sampling.top_logprobs = 0;
  run.stop_tokens = {40};
  run.ignore_stop = true;
  run.constraint = std::make_unique<ListedConstraint>(
      std::vector<std::vector<tokens::TokenId>>{{7, 33}, {}, {34, 49}, {40}}, accepted);
  ASSERT_TRUE(engine_->submit(std::move(run), seen.sink()));
  seen.wait();
  EXPECT_EQ(seen.ids, (std::vector<tokens::TokenId>{7, 9, 34, 40}));
  EXPECT_EQ(*accepted, seen.ids);
  EXPECT_EQ(seen.finish, FinishReason::kStop) << "a complete grammar ends a run that would go past its stop tokens";
  EXPECT_LT(seen.events[0].logprob, -15) << "log-probabilities are the model's own, before the constraint";
}

TEST_F(BatchEngineTest, FailsARunWhoseConstraintAllowsNothing) {
  start({.threads = 1, .context = 1000, .cache_type = "f32", .prefill_cell = 16}, {12});
  Seen seen;
  const auto accepted = std::make_shared<std::vector<tokens::TokenId>>();
  engine::Run run = greedy({3}, 10);
  run.constraint = std::make_unique<ListedConstraint>(std::vector<std::vector<tokens::TokenId>>{{5}, {12}}, accepted);
  ASSERT_TRUE(engine_->submit(std::move(run), seen.sink()));
  seen.wait();
  EXPECT_EQ(seen.finish, FinishReason::kFailed);
  EXPECT_EQ(seen.ids, (std::vector<tokens::TokenId>{5}));
  EXPECT_NE(seen.events.back().error.find("grammar"), std::string::npos) << seen.events.back().error;
}

TEST_F(BatchEngineTest, EndsAtAStopTokenUnlessTold) {
  start();
  Seen stopped, ignored;
  for (const bool ignore : {false, true}) {
    engine::Run run = greedy({3}, 10);
    run.stop_tokens = {6};
    run.ignore_stop = ignore;
    ASSERT_TRUE(engine_->submit(std::move(run), (ignore ? ignored : stopped).sink()));
  }
  stopped.wait();
  ignored.wait();
  EXPECT_EQ(stopped.ids, (std::vector<tokens::TokenId>{4, 5, 6}));
  EXPECT_EQ(stopped.finish, FinishReason::kStop);
  EXPECT_EQ(ignored.ids.size(), 10u);
}

TEST_F(BatchEngineTest, ManyRunsOfOddLengthsEachCountOnTheirOwn) {
  start();
  std::vector<std::unique_ptr<Seen>> seen;
  for (int i = 0; i < 40; ++i) {
    std::vector<tokens::TokenId> prompt(static_cast<std::size_t>(1 + i * 17 % 300));
    for (std::size_t k = 0; k < prompt.size(); ++k)
      prompt[k] = static_cast<tokens::TokenId>((k + static_cast<std::size_t>(i)) % CountingModel::kVocabulary);
    seen.push_back(std::make_unique<Seen>());
    ASSERT_TRUE(engine_->submit(greedy(std::move(prompt), 1 + i % 7), seen.back()->sink()));
  }
  for (int i = 0; i < 40; ++i) {
    Seen& s = *seen[static_cast<std::size_t>(i)];
    s.wait();
    ASSERT_EQ(s.ids.size(), static_cast<std::size_t>(1 + i % 7));
    for (std::size_t k = 0; k < s.ids.size(); ++k)
      EXPECT_EQ(s.ids[k], static_cast<tokens::TokenId>((static_cast<std::size_t>(i * 17 % 300 + i) + k + 1) %
                                                       CountingModel::kVocabulary));
  }
}

TEST_F(BatchEngineTest, CancelledRunsEndAndGiveTheirPagesBack) {
  start({.threads = 1, .context = 1000, .cache_type = "f32"}, {}, std::chrono::microseconds(200));
  // Each run reserves the whole context; only if pages return can so many pass.
  for (int i = 0; i < 100; ++i) {
    Seen seen;
    const auto id = engine_->submit(greedy({1, 2}, -1), seen.sink());
    ASSERT_TRUE(id);
    if (i % 2 == 0) seen.wait_for_tokens(1);
    engine_->cancel(*id);
    seen.wait();
    EXPECT_EQ(seen.finish, FinishReason::kCancelled);
  }
}

TEST_F(BatchEngineTest, ASinkCanEndItsRun) {
  start();
  Seen seen;
  ASSERT_TRUE(engine_->submit(greedy({1}, -1), seen.sink(5)));
  seen.wait();
  Seen next;  // the engine goes on
  ASSERT_TRUE(engine_->submit(greedy({1}, 2), next.sink()));
  next.wait();
  EXPECT_EQ(seen.ids.size(), 5u);
}

TEST_F(BatchEngineTest, FillsTheContextAndSaysSo) {
  start({.threads = 1, .context = 300, .cache_type = "f32"});
  Seen seen;
  ASSERT_TRUE(engine_->submit(greedy(std::vector<tokens::TokenId>(290, 1), -1), seen.sink()));
  seen.wait();
  EXPECT_EQ(seen.finish, FinishReason::kLength);
  EXPECT_EQ(seen.ids.size(), 10u);
}

TEST_F(BatchEngineTest, RefusesWhatCannotRun) {
  start({.threads = 1, .context = 300, .cache_type = "f32"});
  Seen seen;
  EXPECT_FALSE(engine_->submit(greedy({}, 1), seen.sink()));
  EXPECT_FALSE(engine_->submit(greedy({-1}, 1), seen.sink()));
  EXPECT_FALSE(engine_->submit(greedy({CountingModel::kVocabulary}, 1), seen.sink()));
  const auto long_prompt = engine_->submit(greedy(std::vector<tokens::TokenId>(300, 1), 1), seen.sink());
  ASSERT_FALSE(long_prompt);
  EXPECT_NE(long_prompt.error().message.find("300"), std::string::npos);
}

TEST_F(BatchEngineTest, NeverSamplesATokenThatIsNone) {
  start({.threads = 1, .context = 300, .cache_type = "f32"}, {4, 5});
  Seen seen;
  ASSERT_TRUE(engine_->submit(greedy({3}, 3), seen.sink()));
  seen.wait();
  for (const auto id : seen.ids) EXPECT_TRUE(id != 4 && id != 5);
}

TEST_F(BatchEngineTest, GivesLogProbabilitiesOfTheModelItself) {
  start();
  Seen seen;
  engine::Run run = greedy({3}, 1);
  run.sampling.top_logprobs = 2;
  run.sampling.logit_bias = {{40, 100.0f}};  // changes the choice, not the probabilities
  ASSERT_TRUE(engine_->submit(std::move(run), seen.sink()));
  seen.wait();
  const double all = std::log(std::exp(20.0) + 49);
  ASSERT_EQ(seen.ids, std::vector<tokens::TokenId>{40});
  EXPECT_NEAR(seen.events[0].logprob, -all, 1e-4);
  ASSERT_EQ(seen.events[0].top.size(), 2u);
  EXPECT_EQ(seen.events[0].top[0].token, 4);
  EXPECT_NEAR(seen.events[0].top[0].logprob, 20 - all, 1e-4);
}

TEST_F(BatchEngineTest, EndingTheEngineEndsItsRuns) {
  start({.threads = 1, .context = 1000, .cache_type = "f32"}, {}, std::chrono::microseconds(200));
  Seen seen;
  ASSERT_TRUE(engine_->submit(greedy({1}, -1), seen.sink()));
  engine_.reset();
  EXPECT_EQ(seen.finish, FinishReason::kCancelled);
}

}  // namespace
}  // namespace fathom::engine
