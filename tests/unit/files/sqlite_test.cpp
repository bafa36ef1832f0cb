#include "files/sqlite.h"

#include <gtest/gtest.h>

#include "temporary_folder.h"

namespace fathom::files {
namespace {

class SqliteTest : public testing::Test {
 protected:
  void SetUp() override {
    database_.run_all("CREATE TABLE pair(key TEXT PRIMARY KEY, value ANY) STRICT");
    ASSERT_TRUE(database_.take_failure());
  }
  std::int64_t count() {
    Rows row = database_.query("SELECT count(*) FROM pair");
    return row.next() ? row.integer(0) : -1;
  }

  TemporaryFolder folder_;
  Database database_ = std::move(*Database::open(folder_ / "test.db", Database::Mode::kWrite));
};

TEST_F(SqliteTest, ValuesGoInAndComeOut) {
  const std::string with_nul("a\0b", 3);
  database_.run("INSERT INTO pair VALUES (?, ?)", "text", with_nul);
  database_.run("INSERT INTO pair VALUES (?, ?)", "integer", std::int64_t{1} << 60);
  database_.run("INSERT INTO pair VALUES (?, ?)", "real", 0.5);
  database_.run("INSERT INTO pair VALUES (?, ?)", "null", std::optional<std::string>());
  database_.run("INSERT INTO pair VALUES (?, ?)", "empty", std::string_view());
  ASSERT_TRUE(database_.take_failure());
  const auto value = [this](const char* key) {
    Rows row = database_.query("SELECT value FROM pair WHERE key = ?", key);
    EXPECT_TRUE(row.next());
    return row;
  };
  EXPECT_EQ(value("text").text(0), with_nul);
  EXPECT_EQ(value("integer").integer(0), std::int64_t{1} << 60);
  EXPECT_EQ(value("real").real(0), 0.5);
  EXPECT_TRUE(value("null").is_null(0));
  EXPECT_FALSE(value("null").optional_text(0));
  EXPECT_EQ(value("empty").optional_text(0), "");
}

TEST_F(SqliteTest, OneStatementMayBeUsedWithinItself) {
  for (const char* key : {"a", "b", "c"}) database_.run("INSERT INTO pair VALUES (?, 1)", key);
  const char* sql = "SELECT key FROM pair ORDER BY key";
  int pairs = 0;
  for (Rows outer = database_.query(sql); outer.next();)
    for (Rows inner = database_.query(sql); inner.next();) ++pairs;
  EXPECT_EQ(pairs, 9);
}

TEST_F(SqliteTest, TheFirstFailureIsKeptAndNothingFollowsIt) {
  database_.run("INSERT INTO pair VALUES ('a', 1)");
  database_.run("INSERT INTO pair VALUES ('a', 2)");
  database_.run("INSERT INTO pair VALUES ('b', 2)");
  const auto failed = database_.take_failure();
  ASSERT_FALSE(failed);
  EXPECT_TRUE(failed.error().message.contains("UNIQUE")) << failed.error().message;
  EXPECT_TRUE(failed.error().message.contains("test.db")) << failed.error().message;
  EXPECT_EQ(count(), 1);
}

TEST_F(SqliteTest, ATransactionThatIsNotCommittedIsUndone) {
  {
    Transaction transaction(database_);
    database_.run("INSERT INTO pair VALUES ('a', 1)");
  }
  EXPECT_EQ(count(), 0);
  {
    Transaction transaction(database_);
    database_.run("INSERT INTO pair VALUES ('a', 1)");
    database_.run("INSERT INTO nothing VALUES (1)");
    transaction.commit();
  }
  EXPECT_FALSE(database_.take_failure());
  EXPECT_EQ(count(), 0);
  {
    Transaction transaction(database_);
    database_.run("INSERT INTO pair VALUES ('a', 1)");
    transaction.commit();
  }
  EXPECT_EQ(count(), 1);
}

TEST_F(SqliteTest, AStepThatFailsLeavesTheSchemaBefore) {
  const std::string_view good = "CREATE TABLE one(x)";
  const std::string_view steps[] = {good, "CREATE TABLE two(x); CREATE TABLE one(x)"};
  EXPECT_FALSE(migrate(database_, steps));
  Rows version = database_.query("PRAGMA user_version");
  ASSERT_TRUE(version.next());
  EXPECT_EQ(version.integer(0), 1);
  Rows two = database_.query("SELECT count(*) FROM sqlite_schema WHERE name = 'two'");
  ASSERT_TRUE(two.next());
  EXPECT_EQ(two.integer(0), 0);
}

TEST_F(SqliteTest, MemoryIsSharedByName) {
  const std::string name = Database::shared_memory();
  auto one = Database::open(name, Database::Mode::kWrite);
  auto two = Database::open(name, Database::Mode::kRead);
  ASSERT_TRUE(one && two);
  one->run_all("CREATE TABLE t(x); INSERT INTO t VALUES (7)");
  Rows row = two->query("SELECT x FROM t");
  ASSERT_TRUE(row.next());
  EXPECT_EQ(row.integer(0), 7);
  auto other = Database::open(Database::shared_memory(), Database::Mode::kWrite);
  other->run("SELECT x FROM t");
  EXPECT_FALSE(other->take_failure());
}

}  // namespace
}  // namespace fathom::files
