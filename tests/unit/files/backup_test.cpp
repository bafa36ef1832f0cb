// Copies of databases, the file that holds them, and who may use a folder meanwhile.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "files/backup_file.h"
#include "files/folder_lock.h"
#include "files/sqlite.h"
#include "temporary_folder.h"

namespace fathom::files {
namespace {

std::int64_t rows_of(const std::string& path) {
  auto database = Database::open(path, Database::Mode::kRead);
  if (!database) return -1;
  Rows row = database->query("select count(*) from t");
  return row.next() ? row.integer(0) : -1;
}

TEST(CopyDatabase, IsOneMomentOfADatabaseThatIsWrittenTo) {
  const TemporaryFolder folder;
  for (const char* mode : {"PRAGMA journal_mode = WAL", "PRAGMA journal_mode = DELETE"}) {
    const std::string path = folder / fmt::format("{}.db", mode[22]);
    auto database = Database::open(path, Database::Mode::kWrite);
    ASSERT_TRUE(database);
    database->run_all(mode);
    database->run_all("create table t (a, b)");
    std::jthread writer([&](std::stop_token stop) {
      for (int i = 0; !stop.stop_requested(); ++i) {  // two rows at a time, never one alone
        Transaction both(*database);
        database->run("insert into t values (?, 1)", i);
        database->run("insert into t values (?, 2)", i);
        both.commit();
        std::this_thread::sleep_for(std::chrono::microseconds(200));  // as long as others may take their turn
      }
    });
    auto reader = Database::open(path, Database::Mode::kRead);
    ASSERT_TRUE(reader);
    for (int i = 0; i < 5; ++i) {
      const std::string copy = folder / fmt::format("{}{}.copy", mode[22], i);
      const auto copied = copy_database(*reader, copy);
      ASSERT_TRUE(copied) << copied.error().message;
      EXPECT_EQ(rows_of(copy) % 2, 0);
      EXPECT_EQ(folder.read(fmt::format("{}{}.copy", mode[22], i))[18], 1) << "no log beside it";
    }
    writer.request_stop();
    writer.join();
    const auto done = database->take_failure();
    EXPECT_TRUE(done) << done.error().message;
  }
}

TEST(BackupFile, GivesBackWhatItHolds) {
  const TemporaryFolder folder;
  const std::string one = folder.write("one", std::string(3'000'000, 'x')), two = folder.write("two", "");
  const std::string path = folder / "backup";
  const std::vector<BackupSource> sources{{"one.db", 3, one}, {"two.db", 0, two}};
  ASSERT_TRUE(write_backup(path, sources));
  const auto backup = BackupFile::open(path);
  ASSERT_TRUE(backup) << backup.error().message;
  ASSERT_EQ(backup->parts().size(), 2u);
  EXPECT_EQ(backup->parts()[0].name, "one.db");
  EXPECT_EQ(backup->parts()[0].schema, 3);
  EXPECT_EQ(backup->parts()[1].bytes, 0u);
  EXPECT_EQ(backup->made_at().size(), 20u);
  for (const BackupPart& part : backup->parts()) ASSERT_TRUE(backup->extract(part, folder / part.name));
  EXPECT_EQ(folder.read("one.db"), folder.read("one"));
  EXPECT_EQ(folder.read("two.db"), "");
}

TEST(BackupFile, RefusesWhatIsNotWhole) {
  const TemporaryFolder folder;
  const std::string source = folder.write("one", "some bytes"), path = folder / "backup";
  ASSERT_TRUE(write_backup(path, std::vector<BackupSource>{{"one.db", 3, source}}));
  const std::string good = folder.read("backup");
  const auto said = [&](std::string_view text) {
    const auto backup = BackupFile::open(folder.write("bad", text));
    if (!backup) return backup.error().message;
    const auto extracted = backup->extract(backup->parts().at(0), folder / "out");
    return extracted ? std::string() : extracted.error().message;
  };
  EXPECT_EQ(said(good), "");
  EXPECT_TRUE(said(good.substr(0, good.size() - 1)).contains("cut off"));
  EXPECT_TRUE(said(good + "x").contains("more than its parts"));
  EXPECT_TRUE(said(good.substr(0, good.size() - 1) + "X").contains("damaged"));
  EXPECT_TRUE(said("").contains("no backup"));
  EXPECT_TRUE(said("SQLite format 3\n").contains("no backup"));
  EXPECT_TRUE(said(R"({"fathom_backup":2})"
                   "\n")
                  .contains("newer version"));
  const std::string bomb = R"({"fathom_backup":1,"parts":[{"name":"a","schema":1,"bytes":18446744073709551615}]})";
  EXPECT_TRUE(said(bomb + "\n").contains("names no parts"));
}

TEST(FolderLock, ManyShareAFolderThatNobodyHasAlone) {
  const TemporaryFolder folder;
  const auto lock = [&](FolderLock::Mode mode) {
    return std::move(*FolderLock::try_lock(folder.path().string(), mode));
  };
  {
    const auto one = lock(FolderLock::Mode::kShared), two = lock(FolderLock::Mode::kShared);
    EXPECT_TRUE(one && two);
    EXPECT_FALSE(lock(FolderLock::Mode::kAlone));
  }
  const auto alone = lock(FolderLock::Mode::kAlone);
  EXPECT_TRUE(alone);
  EXPECT_FALSE(lock(FolderLock::Mode::kShared));
}

}  // namespace
}  // namespace fathom::files
