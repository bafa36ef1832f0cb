// Keys, limits and the ledger, over a database in a folder of the test's own.
#include "server/metering.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "../files/temporary_folder.h"
#include "server/exposure.h"

namespace fathom::server {
namespace {

using std::chrono::seconds;

class MeteringTest : public testing::Test {
 protected:
  void SetUp() override { database_ = open(); }
  std::shared_ptr<ServerDatabase> open() {
    auto database = ServerDatabase::open(path());
    EXPECT_TRUE(database) << database.error().message;
    return database ? *database : nullptr;
  }
  std::string path() const { return (folder_.path() / "server.db").string(); }
  KeyStore keys() { return KeyStore(database_); }
  std::string add(const std::string& name, const KeyLimits& limits = {}, Scope scope = Scope::kApi) {
    auto secret = keys().add(name, scope, limits);
    EXPECT_TRUE(secret) << secret.error().message;
    return secret.value_or("");
  }
  static Request with_key(const std::string& key) { return {.headers = {{"Authorization", "Bearer " + key}}}; }

  files::TemporaryFolder folder_;
  std::shared_ptr<ServerDatabase> database_;
  PriceList prices_{.currency = "CNY",
                    .models = {{"big", {.cache_hit = 0.2, .cache_miss = 2, .output = 3}}},
                    .others = {.cache_hit = 0, .cache_miss = 0, .output = 1}};
};

TEST_F(MeteringTest, AKeyIsFoundByItsSecretAlone) {
  const std::string ada = add("ada"), bob = add("bob", {.concurrent = 2}, Scope::kAdmin);
  EXPECT_TRUE(ada.starts_with("sk-fathom-"));
  EXPECT_EQ(ada.size(), 10u + 43u);
  EXPECT_NE(ada, bob);
  const auto found = keys().find(bob);
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->name, "bob");
  EXPECT_EQ((*found)->scope, Scope::kAdmin);
  EXPECT_EQ((*found)->limits.concurrent, 2);
  EXPECT_FALSE(*keys().find(bob.substr(0, 20)));
  EXPECT_FALSE(*keys().find(""));
}

TEST_F(MeteringTest, TheFileHoldsNoSecretAndIsItsOwners) {
  const std::string secret = add("ada");
  database_.reset();
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string bytes(std::istreambuf_iterator<char>(in), {});
    EXPECT_EQ(bytes.find(secret.substr(16)), std::string::npos) << entry.path();
  }
  EXPECT_EQ(std::filesystem::status(path()).permissions(), std::filesystem::perms(0600));
}

TEST_F(MeteringTest, NamesAreCheckedAndTakenOnce) {
  add("ada");
  for (const std::string name : {"", "ada", "two\nlines"}) EXPECT_FALSE(keys().add(name, Scope::kApi, {})) << name;
  EXPECT_FALSE(keys().add(std::string(101, 'x'), Scope::kApi, {}));
  ASSERT_TRUE(keys().revoke("ada"));
  EXPECT_FALSE(keys().add("ada", Scope::kApi, {}));  // its usage keeps its name
}

TEST_F(MeteringTest, ARevokedKeyIsRefusedAtOnceByAServerThatRuns) {
  Metering metering("", database_, {});
  EXPECT_FALSE(metering.asks_for_key());
  EXPECT_TRUE(metering.identify({}));
  const std::string secret = add("ada");
  EXPECT_TRUE(metering.asks_for_key());
  EXPECT_EQ(metering.identify({}).error().status, 401);
  EXPECT_EQ(metering.identify(with_key(secret + "x")).error().status, 401);
  const auto caller = metering.identify(with_key(secret));
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->owner(), "key:1");
  EXPECT_EQ(caller->scope, Scope::kApi);
  const auto beside = KeyStore(open()).revoke("ada");  // as `fathom keys revoke` does, from another process
  ASSERT_TRUE(beside);
  add("bob");
  EXPECT_EQ(metering.identify(with_key(secret)).error().status, 401);
}

TEST_F(MeteringTest, TheKeyOfTheCommandLineRunsTheServer) {
  Metering metering("secret", database_, {});
  EXPECT_TRUE(metering.asks_for_key());
  EXPECT_EQ(metering.identify(with_key("secreT")).error().status, 401);
  const auto caller = metering.identify(with_key("secret"));
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->scope, Scope::kAdmin);
  EXPECT_EQ(caller->owner(), "");
}

TEST(Metering, TheKeyComesAsBearerOrAsItsOwnHeader) {
  Metering metering("sk-right", nullptr, {});
  const auto answer = [&](std::vector<Header> headers) { return metering.identify({.headers = std::move(headers)}); };
  EXPECT_TRUE(answer({{"Authorization", "Bearer sk-right"}}));
  EXPECT_TRUE(answer({{"authorization", "bearer sk-right"}}));
  EXPECT_TRUE(answer({{"X-Api-Key", "sk-right"}}));
  for (const char* wrong : {"Bearer sk-wrong", "Bearer sk-right ", "Bearer ", "Bearer", "sk-right", "Basic sk-right"})
    EXPECT_EQ(answer({{"Authorization", wrong}}).error().status, 401) << wrong;
  EXPECT_EQ(answer({}).error().status, 401);
  EXPECT_TRUE(Metering("", nullptr, {}).identify({}));
}

TEST_F(MeteringTest, WhatRunsAtATimeIsLimited) {
  Metering metering("", database_, {});
  const auto caller = metering.identify(with_key(add("ada", {.concurrent = 2})));
  ASSERT_TRUE(caller);
  auto first = metering.book(*caller, 1);
  ASSERT_TRUE(first);
  EXPECT_EQ(metering.book(*caller, 2).error().status, 429);
  {
    auto second = metering.book(*caller, 1);
    ASSERT_TRUE(second);
    EXPECT_EQ(metering.book(*caller, 1).error().status, 429);
  }
  EXPECT_TRUE(metering.book(*caller, 1));
}

TEST(RateLimiter, CountsRequestsAndTokensOfAMinute) {
  RateLimiter limiter;
  const Key key{.id = 1, .limits = {.requests_per_minute = 2, .tokens_per_minute = 100}};
  const RateLimiter::Clock::time_point start{};
  EXPECT_FALSE(limiter.begin(key, 1, start));
  EXPECT_FALSE(limiter.begin(key, 1, start + seconds(10)));
  const auto refused = limiter.begin(key, 1, start + seconds(20));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->retry_after, 40);
  EXPECT_FALSE(limiter.begin(key, 1, start + seconds(60)));
  limiter.used(1, 100, start + seconds(61));
  const auto spent = limiter.begin(key, 1, start + seconds(80));
  ASSERT_TRUE(spent);
  EXPECT_EQ(spent->what, "100 tokens a minute");
  EXPECT_EQ(spent->retry_after, 41);
  EXPECT_FALSE(limiter.begin(key, 1, start + seconds(121)));
}

TEST_F(MeteringTest, PricesAreDeepSeeksManner) {
  EXPECT_EQ(prices_.cost("big", 1'000'000, 0, 0), 200'000'000);
  EXPECT_EQ(prices_.cost("big", 10, 100, 1000), 2'000 + 200'000 + 3'000'000);
  EXPECT_EQ(prices_.cost("small", 10, 100, 1000), 1'000'000);
  EXPECT_EQ(money_text(200'000'000), "0.20");
  EXPECT_EQ(money_text(-1'234'567'890), "-1.23456789");
  EXPECT_EQ(money_text(0), "0.00");
}

TEST_F(MeteringTest, UsageIsThereForWhoeverOpensTheFileNext) {
  const std::string secret = add("ada", {.budget = 5'000'000});
  {
    Metering metering("", database_, prices_);
    const auto caller = metering.identify(with_key(secret));
    auto booking = metering.book(*caller, 1);
    ASSERT_TRUE(booking);
    booking->pay("big", {.requests = 1, .cache_hit_tokens = 10, .cache_miss_tokens = 100, .output_tokens = 1000});
    booking->pay("big", {.requests = 1, .output_tokens = 1000, .reasoning_tokens = 400, .seconds = 1.5});
    const auto over = metering.book(*caller, 1);
    ASSERT_FALSE(over);
    EXPECT_EQ(over.error().status, 402);
    EXPECT_NE(over.error().message.find("CNY"), std::string::npos);
  }
  UsageLedger ledger(open(), {});
  const auto rows = ledger.rows({});
  ASSERT_TRUE(rows);
  ASSERT_EQ(rows->size(), 1u);
  const UsageRow& row = rows->front();
  EXPECT_EQ(row.key, "ada");
  EXPECT_EQ(row.model, "big");
  EXPECT_EQ(row.requests, 2);
  EXPECT_EQ(row.cache_hit_tokens, 10);
  EXPECT_EQ(row.cache_miss_tokens, 100);
  EXPECT_EQ(row.output_tokens, 2000);
  EXPECT_EQ(row.reasoning_tokens, 400);
  EXPECT_DOUBLE_EQ(row.seconds, 1.5);
  EXPECT_EQ(row.money, 6'202'000);
  EXPECT_TRUE(ledger.rows({.from = "9999-01-01"})->empty());
  EXPECT_TRUE(ledger.rows({.to = "1999-01-01"})->empty());
  EXPECT_TRUE(ledger.rows({.key = 77})->empty());
}

TEST_F(MeteringTest, ThePageIsBookedUnderItsName) {
  EXPECT_FALSE(keys().add("page", Scope::kApi, {}));
  add("ada");
  Metering metering("", database_, prices_);
  metering.pay_for_page("big", {.requests = 1, .cache_miss_tokens = 100, .output_tokens = 10});
  metering.pay_for_page("big", {.requests = 1, .output_tokens = 10});
  const auto rows = UsageLedger(open(), {}).rows({});
  ASSERT_TRUE(rows && rows->size() == 1);
  EXPECT_EQ(rows->front().key, "page");
  EXPECT_EQ(rows->front().output_tokens, 20);
  EXPECT_EQ(rows->front().money, 200'000 + 60'000);
  EXPECT_EQ(UsageLedger(open(), {}).rows({.key = kPageKey})->size(), 1u);
  EXPECT_EQ(UsageLedger(open(), {}).rows({.key = 1})->size(), 0u);
}

TEST_F(MeteringTest, ManyThreadsAndConnectionsWriteOneLedger) {
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([this] {
      UsageLedger ledger(open(), {});
      for (int n = 0; n < 25; ++n) EXPECT_TRUE(ledger.add(0, "m", {.requests = 1, .output_tokens = 2}));
    });
  threads.clear();
  const auto rows = UsageLedger(database_, {}).rows({});
  ASSERT_TRUE(rows && rows->size() == 1);
  EXPECT_EQ(rows->front().requests, 100);
  EXPECT_EQ(rows->front().output_tokens, 200);
}

TEST(Exposure, OtherMachinesNeedAKeyAndEncryption) {
  for (const char* host : {"127.0.0.1", "127.1.2.3", "::1", "localhost"}) EXPECT_TRUE(check_exposure({.host = host}));
  const auto bare = check_exposure({.host = "0.0.0.0"});
  ASSERT_FALSE(bare);
  for (const char* word : {"fathom keys add", "--tls-cert", "--proxy", "--open"})
    EXPECT_NE(bare.error().message.find(word), std::string::npos) << word;
  EXPECT_FALSE(check_exposure({.host = "192.168.1.5", .asks_for_key = true}));
  EXPECT_FALSE(check_exposure({.host = "::", .encrypts = true}));
  EXPECT_TRUE(check_exposure({.host = "::", .asks_for_key = true, .encrypts = true}));
  EXPECT_TRUE(check_exposure({.host = "::", .asks_for_key = true, .has_proxy = true}));
  EXPECT_TRUE(check_exposure({.host = "0.0.0.0", .open = true}));
}

}  // namespace
}  // namespace fathom::server
