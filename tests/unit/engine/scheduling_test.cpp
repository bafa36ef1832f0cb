// Who is served when: streams in every step, owners in turn, the oldest of each first.
#include <gtest/gtest.h>

#include <latch>
#include <numeric>
#include <thread>

#include "engine/step_pace.h"
#include "served_recalling.h"

namespace fathom::engine {
namespace {

TEST(StepPace, ReadsAsMuchBesideStreamsAsTheirGapAllows) {
  StepPace pace;
  EXPECT_EQ(pace.prompt_rows(0), kStepRows);
  EXPECT_EQ(pace.prompt_rows(1), 0);  // how long a plain step takes is not known
  pace.record(0.08, 1, 0);
  // A row costs 16 ms at the beginning of a long prompt and 26 ms at its end.
  double longest = 0, row_seconds = 0.016;
  std::int64_t read = 0, steps = 0;
  while (read < 8192) {
    const std::int64_t rows = pace.prompt_rows(1);
    ASSERT_GT(rows, 0);
    row_seconds = 0.016 + 0.010 * static_cast<double>(read) / 8192;
    const double took = 0.08 + row_seconds * static_cast<double>(rows);
    longest = std::max(longest, took);
    pace.record(took, 1, rows);
    read += rows;
    ++steps;
  }
  EXPECT_LT(longest, 0.08 * 7);
  EXPECT_LT(steps, 8192 / 10);
}

TEST(StepPace, MeasuresAgainWhereTheNumberOfStreamsIsAnother) {
  StepPace pace;
  pace.record(0.08, 4, 0);
  EXPECT_GT(pace.prompt_rows(3), 0);
  EXPECT_GT(pace.prompt_rows(8), 0);
  EXPECT_EQ(pace.prompt_rows(1), 0);
  EXPECT_EQ(pace.prompt_rows(9), 0);
}

TEST(StepPace, DoesNotGrowFromTheEndOfAPrompt) {
  StepPace pace;
  pace.record(0.08, 1, 0);
  const std::int64_t rows = pace.prompt_rows(1);
  pace.record(0.1, 1, 2);
  EXPECT_EQ(pace.prompt_rows(1), rows);
}

TEST(Scheduling, AStreamGetsATokenInEveryStepWhileAPromptIsRead) {
  Served served(false, 200, {.speculate = Speculate::kNever});
  std::int32_t last = -1, steps_beside = 0;
  bool watch = false;
  served.model().on_step = [&](const model::Step& step) {
    const auto rows = step.row_list();
    if (watch) {
      EXPECT_EQ(rows[0].position, last + 1);
      EXPECT_TRUE(rows[0].logits);
    }
    last = rows[0].position;
    watch = watch || last >= 20;
    if (rows.size() > 1) ++steps_beside;
  };
  Seen stream, reading;
  ASSERT_TRUE(served.engine().submit(Served::run(text(5, 1), 600), stream.sink()));
  stream.wait_for_tokens(20);
  ASSERT_TRUE(served.engine().submit(Served::run(text(1200, 2), 1), reading.sink()));
  reading.wait();
  stream.wait();
  EXPECT_GT(steps_beside, 1);
}

// Names of runs in the order in which they ended. The first step waits until all were submitted.
class Order {
 public:
  explicit Order(Served& served) : served_(served) {
    served.model().on_step = [this](const model::Step&) { submitted_.wait(); };
  }
  void ask(const std::string& owner, int number, std::size_t tokens) {
    const std::string name = owner + std::to_string(number);
    seen_.push_back(std::make_unique<Seen>());
    const auto id = served_.engine().submit(
        Served::run(text(tokens, static_cast<int>(seen_.size())), 1, owner),
        [this, name, sink = seen_.back()->sink()](const TokenEvent& event, const RunStatistics& statistics) {
          ended_.push_back(name);
          return sink(event, statistics);
        });
    EXPECT_TRUE(id);
  }
  std::vector<std::string> wait() {
    submitted_.count_down();
    for (auto& s : seen_) s->wait();
    return ended_;
  }

 private:
  Served& served_;
  std::latch submitted_{1};
  std::vector<std::unique_ptr<Seen>> seen_;
  std::vector<std::string> ended_;  // by the engine's thread alone, until all have ended
};

using Names = std::vector<std::string>;

TEST(Scheduling, OwnersPromptsAreReadInTurn) {
  Served served(false);
  Order order(served);
  order.ask("first", 0, 100);
  for (int i = 1; i <= 5; ++i) order.ask("ann", i, 1100);
  order.ask("bob", 1, 1100);
  EXPECT_EQ(order.wait(), (Names{"first0", "ann1", "bob1", "ann2", "ann3", "ann4", "ann5"}));
}

TEST(Scheduling, OwnersAreAdmittedInTurn) {
  Served served(false, 40);  // two such prompts at once
  Order order(served);
  order.ask("first", 0, 1100);
  for (int i = 1; i <= 5; ++i) order.ask("ann", i, 1100);
  order.ask("bob", 1, 1100);
  const Names ended = order.wait();
  EXPECT_EQ(std::ranges::find(ended, "bob1") - ended.begin(), 2);
}

TEST(Scheduling, ARunWhoseTurnDoesNotComeIsTold) {
  Served served(false, Served::kContext / 64, {.queue_limit = std::chrono::milliseconds(40)});
  served.model().on_step = [](const model::Step&) { std::this_thread::sleep_for(std::chrono::milliseconds(5)); };
  Seen first, second;
  ASSERT_TRUE(served.engine().submit(Served::run(text(1200, 1), -1), first.sink()));
  first.wait_for_tokens(1);
  ASSERT_TRUE(served.engine().submit(Served::run(text(600, 2), 1), second.sink()));
  second.wait();
  EXPECT_EQ(second.finish, FinishReason::kExpired);
  EXPECT_TRUE(second.ids.empty());
  EXPECT_NE(second.events.back().error.find("within 0.04 s"), std::string::npos) << second.events.back().error;
  EXPECT_EQ(first.finish, FinishReason::kNone) << "it has had its turn";
  first.wait();
  EXPECT_EQ(first.finish, FinishReason::kLength);
  EXPECT_EQ(served.ask(text(600, 3), 2).ids.size(), 2u);
  EXPECT_EQ(served.engine().status().expired, 1u);
}

TEST(Scheduling, TellsWhatItDid) {
  Served served(false, 200, {.speculate = Speculate::kNever});
  served.ask(text(300, 1), 5);
  served.ask(text(300, 1), 3);
  EngineStatus now = served.engine().status();
  // The last event of a run comes just before the engine looks around.
  for (int i = 0; i < 1000 && now.running + now.pages_in_use > 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    now = served.engine().status();
  }
  EXPECT_EQ(now.generated_tokens, 8u);
  EXPECT_EQ(now.prompt_tokens, 600u);
  EXPECT_GE(now.pages_from_memory, 4u);
  EXPECT_EQ(now.pages_from_disk, 0u);
  EXPECT_EQ(now.page_bytes, static_cast<std::int64_t>(Served::kPageBytes));
  const auto sum = [](const LatencyCounts& counts) {
    return std::accumulate(counts.counts.begin(), counts.counts.end(), std::uint64_t{0});
  };
  EXPECT_EQ(sum(now.first_token), 2u);
  EXPECT_EQ(sum(now.between_tokens), 6u);
  EXPECT_GT(now.first_token.sum, 0);
  EXPECT_EQ(now.waiting + now.running + now.pages_in_use, 0);
}

TEST(LatencyCounts, CountsUpToEachBound) {
  LatencyCounts counts;
  for (const double seconds : {0.0, 0.001, 0.0011, 600.0, 1e9}) counts.record(seconds);
  EXPECT_EQ(counts.counts.front(), 2u);
  EXPECT_EQ(counts.counts[1], 1u);
  EXPECT_EQ(counts.counts[counts.kBounds.size() - 1], 1u);
  EXPECT_EQ(counts.counts.back(), 1u);
}

}  // namespace
}  // namespace fathom::engine
