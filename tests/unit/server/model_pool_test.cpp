#include "server/model_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "ask.h"
#include "server/duration.h"

namespace fathom::server {
namespace {

using namespace std::chrono_literals;
using State = ModelStatus::State;

constexpr std::uint64_t kNeed = 100;  // bytes of every model, if nothing else is said

// Loads models that only have a name, counts how often, and watches the budget.
class Pool : public ::testing::Test {
 protected:
  struct Given {
    std::vector<std::string> names{"a", "b", "c"};
    std::uint64_t memory = 2 * kNeed;
    KeepAlive keep_alive = kStays;
    std::chrono::milliseconds room_limit = 10s;
    bool stay = false;
  };

  // A model that gives its memory back when it is gone.
  struct Counted final : FakeModel {
    Counted(const std::string& name, Pool& given, std::uint64_t bytes) : FakeModel(name), pool(given), memory(bytes) {
      say("hello from " + name);
      pool.taken_ += memory;
      pool.most_ = std::max(pool.most_.load(), pool.taken_.load());
    }
    ~Counted() override { pool.taken_ -= memory; }
    Pool& pool;
    std::uint64_t memory;
  };

  void make(const Given& given) {
    std::vector<ModelSource> sources;
    for (const std::string& name : given.names)
      sources.push_back({.name = name, .also = name + ".gguf", .stays = given.stay, .bytes = 7});
    const auto look = [this](const ModelSource& source) -> base::Result<ModelFacts> {
      if (source.name == "unreadable") return base::fail("unreadable: no model");
      const std::uint64_t need = source.name == "huge" ? 1000 * kNeed : kNeed;
      return ModelFacts{.bytes = 7, .least_memory = need, .full_memory = need, .context_length = 2000};
    };
    const auto load =
        [this](const ModelSource& source, std::uint64_t memory,
               const std::function<void(double)>& progress) -> base::Result<std::shared_ptr<engine::LoadedModel>> {
      ++loads_;
      progress(0.5);
      std::this_thread::sleep_for(load_time_);
      if (source.name == "broken") return base::fail("broken: a tensor is missing");
      return std::make_shared<Counted>(source.name, *this, memory);
    };
    pool_ = std::make_shared<ModelPool>(ModelPool::Options{.memory = given.memory,
                                                           .keep_alive = given.keep_alive,
                                                           .room_limit = given.room_limit,
                                                           .look = look,
                                                           .load = load},
                                        std::move(sources));
  }

  ApiResult<ModelUse> use(const std::string& name, std::optional<KeepAlive> keep_alive = {}) {
    auto asked = pool_->ask(name, keep_alive);
    if (!asked) return std::unexpected(asked.error());
    if (asked->use) return std::move(asked->use);
    return asked->ticket->wait();
  }

  State state(const std::string& name) { return pool_->status(name)->state; }

  bool comes_to(const std::string& name, State wanted) {
    for (int i = 0; i < 500 && state(name) != wanted; ++i) std::this_thread::sleep_for(10ms);
    return state(name) == wanted;
  }

  std::atomic<int> loads_ = 0;
  std::atomic<std::uint64_t> taken_ = 0, most_ = 0;
  std::chrono::milliseconds load_time_{0};
  std::shared_ptr<ModelPool> pool_;  // last
};

TEST_F(Pool, LoadsAModelWhenItIsAskedFor) {
  make({});
  EXPECT_EQ(state("a"), State::kUnloaded);
  const auto model = use("a");
  ASSERT_TRUE(model);
  EXPECT_EQ((*model)->name(), "a");
  EXPECT_EQ(state("a"), State::kLoaded);
  EXPECT_EQ(pool_->status("a")->uses, 1);
  EXPECT_TRUE(pool_->ask("a")->use) << "it is there at once the second time";
  EXPECT_EQ(loads_, 1);
}

TEST_F(Pool, FindsTheFirstModelWithoutANameAndEachByItsOtherName) {
  make({});
  EXPECT_EQ((*use(""))->name(), "a");
  EXPECT_EQ((*use("b.gguf"))->name(), "b");
}

TEST_F(Pool, LoadsOnceForAllWhoWait) {
  load_time_ = 100ms;
  make({});
  std::vector<std::shared_ptr<LoadTicket>> tickets;
  for (int i = 0; i < 20; ++i) tickets.push_back(pool_->ask("a")->ticket);
  for (const auto& ticket : tickets) EXPECT_TRUE(ticket->wait());
  EXPECT_EQ(loads_, 1);
  EXPECT_EQ(pool_->status("a")->uses, 20);
  tickets.clear();
  EXPECT_EQ(pool_->status("a")->uses, 0);
}

TEST_F(Pool, TellsEverybodyWhyAModelDidNotLoadAndServesTheOthers) {
  make({.names = {"broken", "unreadable", "huge", "a"}});
  const auto one = pool_->ask("broken")->ticket, other = pool_->ask("broken")->ticket;
  for (const auto& ticket : {one, other}) {
    const auto result = ticket->wait();
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().status, 500);
    EXPECT_EQ(result.error().message, "broken: a tensor is missing");
  }
  EXPECT_EQ(pool_->status("broken")->error, "broken: a tensor is missing");
  EXPECT_EQ(use("unreadable").error().message, "unreadable: no model");
  const auto huge = use("huge");
  ASSERT_FALSE(huge);
  EXPECT_EQ(huge.error().code, "model_unfit");
  EXPECT_TRUE(use("a"));
  EXPECT_FALSE(use("broken")) << "it is tried again";
  EXPECT_EQ(use("unreadable").error().message, "unreadable: no model");
}

TEST_F(Pool, NamesTheNearestModelFirst) {
  make({.names = {"smollm2", "qwen-1.5b"}});
  const auto refused = pool_->ask("qwen-1.5");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().status, 404);
  EXPECT_EQ(refused.error().message, "no model \"qwen-1.5\" here; there is: qwen-1.5b, smollm2");
}

TEST_F(Pool, UnloadsTheOneUnusedForTheLongestTimeWhereMemoryIsShort) {
  make({.stay = true});
  (void)use("a");
  (void)use("b");
  (void)use("a");
  ASSERT_TRUE(use("c"));
  EXPECT_EQ(state("b"), State::kUnloaded);
  EXPECT_EQ(state("a"), State::kLoaded);
  EXPECT_LE(most_, 2 * kNeed);
}

TEST_F(Pool, GivesTheOnlyModelAllMemoryUntilThereIsAnother) {
  make({.names = {"a"}});
  (void)use("a");
  EXPECT_EQ(pool_->status("a")->memory, 2 * kNeed);
  pool_->add({.name = "b"});
  (void)use("b");
  (void)use("a");
  EXPECT_EQ(pool_->status("a")->memory, kNeed);
  EXPECT_EQ(state("b"), State::kLoaded);
}

TEST_F(Pool, WaitsForAnswersToEndWhereAllAreInUse) {
  make({});
  auto a = use("a"), b = use("b");
  const auto ticket = pool_->ask("c")->ticket;
  EXPECT_TRUE(comes_to("a", State::kLeaving)) << "it was used the longest time ago";
  EXPECT_FALSE(ticket->result());
  EXPECT_FALSE(pool_->ask("a")->use) << "nobody else keeps it busy";
  *a = {};
  EXPECT_TRUE(ticket->wait());
  EXPECT_LE(most_, 2 * kNeed);
}

TEST_F(Pool, GivesUpWhereNothingBecomesFree) {
  make({.room_limit = 50ms});
  const auto a = use("a"), b = use("b");
  const auto c = use("c");
  ASSERT_FALSE(c);
  EXPECT_EQ(c.error().status, 503);
  EXPECT_TRUE(use("b")) << "the others go on";
}

TEST_F(Pool, UnloadsWhatIsNotUsedForItsTime) {
  make({.keep_alive = 30ms});
  auto a = use("a");
  const auto b = use("b", kStays), c = use("b", kStays);
  std::this_thread::sleep_for(60ms);
  EXPECT_EQ(state("a"), State::kLoaded) << "while it is used";
  *a = {};
  EXPECT_TRUE(comes_to("a", State::kUnloaded));
  EXPECT_EQ(state("b"), State::kLoaded);
  EXPECT_FALSE(pool_->status("b")->expires);
  (void)use("c", KeepAlive{0});
  EXPECT_TRUE(comes_to("c", State::kUnloaded));
}

TEST_F(Pool, KeepsWhatIsToStay) {
  make({.keep_alive = 10ms, .stay = true});
  (void)use("a", KeepAlive{0});
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(state("a"), State::kLoaded);
  ASSERT_TRUE(pool_->unload("a"));
  EXPECT_TRUE(comes_to("a", State::kUnloaded));
  EXPECT_EQ(taken_, 0);
  EXPECT_FALSE(pool_->unload("nothing"));
}

TEST_F(Pool, ForgetsWhoWentBeforeItsModelWasLoaded) {
  load_time_ = 50ms;
  make({});
  const auto a = pool_->ask("a")->ticket;
  (void)pool_->ask("b");  // dropped at once
  EXPECT_TRUE(a->wait());
  EXPECT_TRUE(use("c"));
  EXPECT_EQ(loads_, 2);
  EXPECT_EQ(state("b"), State::kUnloaded);
}

TEST_F(Pool, TellsWhoWaitsThatItEnds) {
  load_time_ = 50ms;
  make({});
  const auto first = pool_->ask("a")->ticket, second = pool_->ask("b")->ticket;
  std::this_thread::sleep_for(10ms);
  pool_.reset();
  ASSERT_FALSE(second->wait());
  EXPECT_EQ(second->wait().error().code, "stopping");
}

TEST_F(Pool, ReportsItsProgress) {
  load_time_ = 20ms;
  make({});
  std::mutex mutex;
  std::vector<State> seen;
  pool_->set_changed([&](const std::string& name) {
    const std::lock_guard lock(mutex);
    if (name == "a") seen.push_back(state("a"));
  });
  (void)use("a");
  pool_->set_changed({});
  const std::lock_guard lock(mutex);
  EXPECT_NE(std::ranges::find(seen, State::kLoading), seen.end());
}

TEST_F(Pool, ServesManyThreadsWithinItsBudget) {
  make({.names = {"a", "b", "c", "d"}, .keep_alive = 2ms});
  std::atomic<int> wrong = 0, served = 0;
  {
    std::vector<std::jthread> threads;
    for (unsigned t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937 random(t);
        for (int i = 0; i < 200; ++i) {
          const std::string name(1, static_cast<char>('a' + random() % 4));
          if (random() % 8 == 0) {
            (void)pool_->ask(name);  // and goes
            continue;
          }
          const auto model = use(name, random() % 4 == 0 ? KeepAlive{0} : KeepAlive{2});
          if (!model || (*model)->name() != name) ++wrong;
          if (random() % 16 == 0) (void)pool_->unload(name);
          ++served;
        }
      });
    }
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(served, 1000);
  EXPECT_LE(most_, 2 * kNeed);
  for (const ModelStatus& model : pool_->list()) EXPECT_EQ(model.uses, 0) << model.source.name;
}

// ---- as requests see it

const files::Json kHello = files::Json::array({{{"role", "user"}, {"content", "hi"}}});

TEST_F(Pool, AnswersARequestOnceItsModelIsThere) {
  load_time_ = 30ms;
  make({});
  const Asker asker(pool_);
  const Answer answer = asker.post("/v1/chat/completions", {{"model", "b"}, {"messages", kHello}});
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.json()["model"], "b");
  EXPECT_EQ(answer.json()["choices"][0]["message"]["content"], "hello from b");
  const Answer ollama = asker.post("/api/chat", {{"model", "c:latest"}, {"messages", kHello}, {"keep_alive", "1ms"}});
  EXPECT_EQ(ollama.status, 200);
  EXPECT_TRUE(comes_to("c", State::kUnloaded));
}

TEST_F(Pool, SaysWhatIsLoadedAndWhatIsNot) {
  make({.keep_alive = 1h});
  (void)use("b");
  ASSERT_TRUE(comes_to("c", State::kUnloaded));
  const Asker asker(pool_);
  const files::Json listed = asker.ask("GET", "/v1/models").json()["data"];
  ASSERT_EQ(listed.size(), 3);
  EXPECT_EQ(listed[0]["loaded"], false);
  EXPECT_EQ(listed[1]["loaded"], true);
  EXPECT_EQ(asker.ask("GET", "/api/tags").json()["models"].size(), 3);
  const files::Json ps = asker.ask("GET", "/api/ps").json()["models"];
  ASSERT_EQ(ps.size(), 1);
  EXPECT_EQ(ps[0]["name"], "b");
  EXPECT_EQ(ps[0]["size"], 7);
  EXPECT_NE(ps[0]["expires_at"], "9999-12-31T23:59:59Z");
}

TEST_F(Pool, UnloadsThroughOllamasInterface) {
  make({.stay = true});
  (void)use("a");
  const Asker asker(pool_);
  const Answer answer = asker.post("/api/generate", {{"model", "a"}, {"keep_alive", 0}});
  EXPECT_EQ(answer.json()["done_reason"], "unload");
  EXPECT_TRUE(comes_to("a", State::kUnloaded));
  EXPECT_EQ(asker.post("/api/generate", {{"model", "a"}}).json()["done_reason"], "load");
  EXPECT_EQ(state("a"), State::kLoaded);
  EXPECT_EQ(asker.post("/api/generate", {{"model", "a"}, {"keep_alive", "soon"}}).status, 400);
}

TEST_F(Pool, TellsARequestWhyItsModelDidNotLoad) {
  make({.names = {"a", "broken"}});
  const Asker asker(pool_);
  const Answer answer = asker.post("/v1/messages", {{"model", "broken"}, {"max_tokens", 5}, {"messages", kHello}});
  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(answer.json()["type"], "error");
  EXPECT_EQ(answer.json()["error"]["message"], "broken: a tensor is missing");
}

TEST(Duration, ReadsTimesAsPeopleWriteThem) {
  EXPECT_EQ(parse_duration("90"), 90s);
  EXPECT_EQ(parse_duration("1h30m"), 90min);
  EXPECT_EQ(parse_duration("1.5h"), 90min);
  EXPECT_EQ(parse_duration("300ms"), 300ms);
  EXPECT_EQ(parse_duration("0"), 0s);
  EXPECT_EQ(parse_duration("-1"), kStays);
  EXPECT_EQ(parse_duration("1e99"), std::nullopt);
  for (const char* wrong : {"", "-", "m", "5x", "5m3", "nan", "1h-5m", " 5m"})
    EXPECT_EQ(parse_duration(wrong), std::nullopt) << wrong;
}

}  // namespace
}  // namespace fathom::server
