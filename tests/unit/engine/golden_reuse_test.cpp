// Reuse of cached prefixes with real arithmetic, for every architecture and variation of the goldens: prefilled cells
// give the bits of a fresh prefill, answers that go on stay within 1e-4 of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/batch_engine.h"
#include "golden_cases.h"
#include "seen.h"

namespace fathom::engine {
namespace {

using Ids = std::vector<tokens::TokenId>;
constexpr int kCell = 16;  // and so a page's positions

struct Answer {
  Ids ids;
  int cached = 0;
  std::vector<std::pair<tokens::TokenId, float>> logprobs;  // of all tokens at every place, likeliest first
};

class Served {
 public:
  Served(const std::string& path, const std::string& type) {
    auto runner = Runner::load(path, {.threads = 1, .context = 256, .cache_type = type, .prefill_cell = kCell});
    EXPECT_TRUE(runner) << runner.error().message;
    runner_ = std::move(*runner);
    engine_ = std::move(*BatchEngine::make(*runner_, {}));
  }
  const Runner& runner() const { return *runner_; }

  Answer ask(const Ids& prompt, int max_tokens) {
    const auto vocabulary = static_cast<int>(runner_->model().config().vocabulary);
    Seen seen;
    EXPECT_TRUE(engine_->submit(
        {.prompt = prompt, .sampling = {.temperature = 0, .top_logprobs = vocabulary}, .max_tokens = max_tokens},
        seen.sink()));
    seen.wait();
    Answer answer{seen.ids, seen.statistics.cached_tokens, {}};
    for (const auto& event : seen.events)
      for (const auto& [token, logprob] : event.top) answer.logprobs.emplace_back(token, logprob);
    return answer;
  }

 private:
  std::unique_ptr<Runner> runner_;
  std::unique_ptr<BatchEngine> engine_;
};

// The largest difference of a log-probability, in standard deviations. Places are sorted by token first.
double largest_difference(Answer a, Answer b, std::int64_t vocabulary) {
  double mean = 0, square = 0, largest = 0;
  for (auto* answer : {&a, &b})
    for (auto at = answer->logprobs.begin(); at != answer->logprobs.end(); at += vocabulary)
      std::sort(at, at + vocabulary);
  const auto n = static_cast<double>(a.logprobs.size());
  for (const auto& [token, v] : a.logprobs) mean += v / n;
  for (const auto& [token, v] : a.logprobs) square += (v - mean) * (v - mean) / n;
  for (std::size_t i = 0; i < a.logprobs.size(); ++i)
    largest = std::max(largest, std::abs(static_cast<double>(a.logprobs[i].second) - b.logprobs[i].second));
  return largest / std::sqrt(square);
}

Ids first_of(const Ids& ids, std::size_t n) {
  return {ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(n)};
}

class ReuseProperties : public testing::TestWithParam<GoldenCase> {};

TEST_P(ReuseProperties, PrefilledCellsGiveTheBitsOfAFreshPrefill) {
  for (const std::string type : {"f32", "bf16", "q8"}) {
    Served served(GetParam().path, type);
    const Ids& ids = GetParam().ids;
    ASSERT_GE(ids.size(), 40u);
    served.ask(first_of(ids, 40), 1);
    Ids other = first_of(ids, 36);  // two cells of it, and what was the other's last cell
    other.insert(other.end(), ids.rbegin(), ids.rbegin() + 20);
    const Answer reused = served.ask(other, 4), fresh = Served(GetParam().path, type).ask(other, 4);
    EXPECT_EQ(reused.cached, 32) << type;
    EXPECT_EQ(fresh.cached, 0);
    EXPECT_EQ(reused.ids, fresh.ids) << type;
    EXPECT_EQ(reused.logprobs, fresh.logprobs) << type;
  }
}

TEST_P(ReuseProperties, AnswersThatGoOnStayCloseToAFreshPrefill) {
  Served served(GetParam().path, "f32");
  if (served.runner().resources().pack && served.runner().two_forms())
    GTEST_SKIP() << "8-bit activations between two forms of attention";
  Ids talk = first_of(GetParam().ids, 20);
  const Answer answer = served.ask(talk, 30);
  talk.insert(talk.end(), answer.ids.begin(), answer.ids.end());
  talk.insert(talk.end(), GetParam().ids.rbegin(), GetParam().ids.rbegin() + 20);
  const Answer second = served.ask(talk, 3), fresh = Served(GetParam().path, "f32").ask(talk, 3);
  EXPECT_EQ(second.cached, served.runner().two_forms() ? 48 : 49);
  ASSERT_EQ(second.ids, fresh.ids);
  EXPECT_LT(largest_difference(second, fresh, served.runner().model().config().vocabulary), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Goldens, ReuseProperties, testing::ValuesIn(golden_cases(60)), golden_test_name);

}  // namespace
}  // namespace fathom::engine
