// Runs through the engine that begin where others were: what they reuse, and that it changes nothing.
#include <gtest/gtest.h>

#include <latch>

#include "served_recalling.h"

namespace fathom::engine {
namespace {

class Reuse : public testing::TestWithParam<bool> {};  // whether the model has two forms

// What a prompt reuses of another's prompt gives what a fresh engine gives.
TEST_P(Reuse, PrefilledPagesEqualAFreshPrefill) {
  const bool two = GetParam();
  Served served(two);
  const Ids before = text(200, 1);  // a full cell, then a page and 8 tokens of its last cell
  EXPECT_EQ(served.ask(before, 1).cached, 0);
  struct Case {
    Ids prompt;
    int cached;
  };
  for (const auto& [prompt, cached] :
       {Case{before, 192}, Case{before + text(50, 2), 200}, Case{before + text(300, 3), two ? 128 : 200},
        Case{Ids(before.begin(), before.begin() + 100), two ? 0 : 64},
        Case{Ids(before.begin(), before.begin() + 150), 128}, Case{Ids(before.begin(), before.begin() + 129), 128},
        Case{Ids(before.begin(), before.begin() + 128), 64}, Case{text(300, 4), 0}}) {
    const Answer answer = served.ask(prompt, 5), fresh = Served(two).ask(prompt, 5);
    EXPECT_EQ(answer.ids, fresh.ids) << prompt.size();
    EXPECT_EQ(answer.cached, cached) << prompt.size();
    EXPECT_EQ(fresh.cached, 0);
  }
}

// A conversation that goes on keeps every row as it was.
TEST_P(Reuse, AnswersStayAsTheyAre) {
  const bool two = GetParam();
  Served served(two);
  const Ids question = text(150, 5);
  const Ids answer = served.ask(question, 110).ids;
  const Ids next = question + answer + text(150, 6);  // 410 tokens: three full cells
  RecallingModel::Memory memory;
  for (std::size_t i = 0; i < next.size(); ++i) {
    // 259 rows of the first turn were computed, 4 full pages of them are kept.
    const bool expanded = two && (i < 256 ? i < 128 : i < 384);
    memory.add(static_cast<std::int64_t>(i), next[i], expanded);
  }
  const Answer second = served.ask(next, 1);
  EXPECT_EQ(second.cached, two ? 256 : 259);  // the last three in the other form
  EXPECT_EQ(second.ids, Ids{memory.next()});
  const Answer again = served.ask(next, 1);  // asked again, it is the same again
  EXPECT_EQ(again.cached, 384);
  EXPECT_EQ(again.ids, second.ids);
}

TEST_P(Reuse, AnotherOwnersTextIsAMiss) {
  Served served(GetParam());
  const Ids prompt = text(400, 7);
  const Answer own = served.ask(prompt, 3, "ann");
  EXPECT_EQ(served.ask(prompt, 3, "bob").cached, 0);
  EXPECT_EQ(served.ask(prompt, 3, "").cached, 0);
  const Answer again = served.ask(prompt, 3, "ann");
  EXPECT_EQ(again.cached, 384);
  EXPECT_EQ(again.ids, own.ids);
}

TEST_P(Reuse, ChoicesOfOnePromptReadItOnce) {
  Served served(GetParam());
  const Ids prompt = text(700, 8);
  Seen seen[4];
  for (auto& s : seen) ASSERT_TRUE(served.engine().submit(Served::run(prompt, 3), s.sink()));
  int missed = 0;
  for (auto& s : seen) {
    s.wait();
    EXPECT_EQ(s.ids, seen[0].ids);
    missed += s.statistics.cached_tokens == 0 ? 1 : 0;
  }
  EXPECT_EQ(missed, 1);
}

TEST_P(Reuse, LeastRecentlyUsedPrefixesMakeRoom) {
  Served served(GetParam(), 40);
  for (int i = 0; i < 10; ++i) served.ask(text(400, 10 + i), 1);  // 7 pages each, 6 of them kept
  EXPECT_EQ(served.ask(text(400, 19), 1).cached, 384);
  EXPECT_EQ(served.ask(text(400, 10), 1).cached, 0);
  const auto status = served.engine().status();
  EXPECT_EQ(status.pages, 40);
  EXPECT_LE(status.pages_kept, 40);
}

// Runs that together need far more pages than there are: each says what it says alone.
TEST_P(Reuse, RunsThatAreSetAsideGoOnAsIfNothingHadBeen) {
  const bool two = GetParam();
  Served served(two, 24);
  std::vector<std::unique_ptr<Seen>> seen;
  std::vector<Ids> prompts;
  for (int i = 0; i < 8; ++i) {
    prompts.push_back(text(static_cast<std::size_t>(30 + 37 * i), 30 + i));
    seen.push_back(std::make_unique<Seen>());
    ASSERT_TRUE(served.engine().submit(Served::run(prompts.back(), 600), seen.back()->sink()));
  }
  for (int i = 0; i < 8; ++i) {
    seen[static_cast<std::size_t>(i)]->wait();
    EXPECT_EQ(seen[static_cast<std::size_t>(i)]->ids, Served(two).ask(prompts[static_cast<std::size_t>(i)], 600).ids);
  }
  EXPECT_GT(served.engine().status().set_aside, 0u);
  EXPECT_EQ(served.engine().status().pages_in_use, 0);
}

TEST_P(Reuse, AConversationThatWasSetAsideKeepsItsForms) {
  const bool two = GetParam();
  const auto talk = [&](Served& served, bool disturbed) {
    const Ids question = text(150, 50);
    const Ids next = question + served.ask(question, 110).ids + text(150, 51);
    std::latch all_submitted(1);
    served.model().on_step = [&](const model::Step&) { all_submitted.wait(); };
    Seen own, older[3];
    for (int i = 0; i < (disturbed ? 3 : 0); ++i)
      EXPECT_TRUE(served.engine().submit(Served::run(text(20, 60 + i), 420), older[i].sink()));
    EXPECT_TRUE(served.engine().submit(Served::run(next, 420), own.sink()));
    all_submitted.count_down();
    own.wait();
    for (int i = 0; i < (disturbed ? 3 : 0); ++i) older[i].wait();
    EXPECT_EQ(own.statistics.cached_tokens, two ? 256 : 259);
    served.model().on_step = nullptr;
    return own.ids;
  };
  Served alone(two), crowded(two, 24);
  EXPECT_EQ(talk(crowded, true), talk(alone, false));
  EXPECT_GT(crowded.engine().status().set_aside, 0u);
}

INSTANTIATE_TEST_SUITE_P(Forms, Reuse, testing::Bool(), [](const auto& forms) { return forms.param ? "Two" : "One"; });

}  // namespace
}  // namespace fathom::engine
