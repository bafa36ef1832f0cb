// Pages on disk: what is written is what is read, and nothing else is believed.
#include "engine/disk_cache.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <latch>
#include <thread>

#include "engine/owner.h"
#include "served_recalling.h"

namespace fathom::engine {
namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::byte>;

// A folder that is gone after the test.
class Folder {
 public:
  Folder() {
    std::string name = testing::TempDir() + "disk_cache_XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  ~Folder() {
    chmod(pages().c_str(), 0700);
    fs::remove_all(path_);
  }
  std::string path() const { return path_; }
  std::string pages() const { return path_ + "/pages"; }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(pages())) names.push_back(entry.path().string());
    return names;
  }

 private:
  std::string path_;
};

const Ids kTokens{3, 1, 4, 1};

PageIdentity identity(std::uint64_t number) {
  return {.model = {1, 2}, .key = {number, 7}, .answer = number % 2 == 1, .tokens = kTokens};
}

Bytes page_of(int number, std::size_t size = 1000) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7 + static_cast<std::size_t>(number));
  return bytes;
}

void write_whole(DiskCache& cache, std::uint64_t number, std::size_t size = 1000) {
  const auto before = cache.status();
  ASSERT_TRUE(cache.offer(identity(number), page_of(static_cast<int>(number), size)));
  for (int i = 0; i < 2000; ++i) {
    const auto now = cache.status();
    if (now.written + now.failed_writes > before.written + before.failed_writes) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  FAIL() << "not written in time";
}

class PageFileTest : public testing::Test {
 protected:
  int make(const Bytes& bytes) {
    EXPECT_EQ(ftruncate(file_, 0), 0);
    EXPECT_EQ(pwrite(file_, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    return file_;
  }
  Bytes whole() {
    EXPECT_EQ(ftruncate(file_, 0), 0);
    lseek(file_, 0, SEEK_SET);
    EXPECT_TRUE(write_page_file(file_, identity(1), page_of(1)));
    Bytes bytes(page_file_bytes(identity(1), 1000));
    EXPECT_EQ(pread(file_, bytes.data(), bytes.size() + 1, 0), static_cast<ssize_t>(bytes.size()));
    return bytes;
  }
  ~PageFileTest() override { close(file_); }
  int file_ = memfd_create("page", 0);
};

TEST_F(PageFileTest, ReadsWhatWasWritten) {
  const Bytes bytes = whole();
  Bytes page(1000);
  ASSERT_TRUE(read_page_file(make(bytes), identity(1), page));
  EXPECT_EQ(page, page_of(1));
}

TEST_F(PageFileTest, RefusesEveryChangedByteAndEveryOtherLength) {
  const Bytes bytes = whole();
  Bytes page(1000);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    Bytes changed = bytes;
    changed[i] ^= std::byte{16};
    EXPECT_FALSE(read_page_file(make(changed), identity(1), page)) << i;
  }
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{63}, bytes.size() - 1}) {
    EXPECT_FALSE(read_page_file(make(Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size))),
                                identity(1), page));
  }
  Bytes longer = bytes;
  longer.push_back({});
  EXPECT_FALSE(read_page_file(make(longer), identity(1), page));
}

TEST_F(PageFileTest, RefusesThePageOfAnother) {
  const int file = make(whole());
  Bytes page(1000), larger(1001);
  EXPECT_FALSE(read_page_file(file, identity(3), page));
  EXPECT_FALSE(read_page_file(file, identity(1), larger));
  PageIdentity other = identity(1);
  other.model = {1, 3};
  EXPECT_FALSE(read_page_file(file, other, page));
  const Ids tokens{3, 1, 4, 2};
  other = identity(1);
  other.tokens = tokens;
  EXPECT_FALSE(read_page_file(file, other, page));
}

TEST(DiskCache, KeepsPagesOverARestart) {
  const Folder folder;
  {
    auto cache = DiskCache::open(folder.path(), 1 << 20);
    ASSERT_TRUE(cache) << cache.error().message;
    for (std::uint64_t n = 0; n < 5; ++n) ASSERT_TRUE((*cache)->offer(identity(n), page_of(static_cast<int>(n))));
  }  // what was offered is written before it ends
  auto cache = DiskCache::open(folder.path(), 1 << 20);
  ASSERT_TRUE(cache);
  EXPECT_EQ((*cache)->status().pages, 5);
  for (std::uint64_t n = 0; n < 5; ++n) {
    EXPECT_EQ((*cache)->find(identity(n).key), std::optional(n % 2 == 1));
    Bytes page(1000);
    ASSERT_TRUE((*cache)->read(identity(n), page));
    EXPECT_EQ(page, page_of(static_cast<int>(n)));
  }
  EXPECT_EQ((*cache)->find({9, 7}), std::nullopt);
}

TEST(DiskCache, RemovesWhatIsNoPageAndLeavesOtherFoldersAlone) {
  const Folder folder;
  ASSERT_TRUE(DiskCache::open(folder.path(), 1 << 20));
  std::ofstream(folder.path() + "/mine.txt") << "not in the cache's own folder";
  for (const char* name :
       {"notes.txt", "00000000000000010000000000000007a.page0", "x.page1", "0000000000000001000000000000000-a.page1"})
    std::ofstream(folder.pages() + "/" + name) << "x";
  std::ofstream(folder.pages() + "/new.123.unfinished") << "another process writes it";
  fs::last_write_time(folder.pages() + "/notes.txt", fs::file_time_type::clock::now() - std::chrono::hours(1));
  auto cache = DiskCache::open(folder.path(), 1 << 20);
  ASSERT_TRUE(cache);
  EXPECT_EQ((*cache)->status().pages, 0);
  EXPECT_EQ(folder.files(), std::vector<std::string>{folder.pages() + "/new.123.unfinished"});
  EXPECT_TRUE(fs::exists(folder.path() + "/mine.txt"));
}

TEST(DiskCache, ADamagedPageIsAMissAndIsRemoved) {
  const Folder folder;
  auto cache = DiskCache::open(folder.path(), 1 << 20);
  ASSERT_TRUE(cache);
  write_whole(**cache, 1);
  ASSERT_EQ(folder.files().size(), 1u);
  std::fstream(folder.files()[0], std::ios::in | std::ios::out | std::ios::binary).seekp(500) << 'x';
  Bytes page(1000);
  EXPECT_FALSE((*cache)->read(identity(1), page));
  EXPECT_EQ((*cache)->status().damaged, 1u);
  EXPECT_EQ((*cache)->status().bytes, 0u);
  EXPECT_EQ((*cache)->find(identity(1).key), std::nullopt);
  EXPECT_TRUE(folder.files().empty());
}

TEST(DiskCache, StaysWithinItsBoundLeastRecentlyUsedOut) {
  const Folder folder;
  const std::uint64_t one = page_file_bytes(identity(0), 1000);
  auto cache = DiskCache::open(folder.path(), 4 * one);
  ASSERT_TRUE(cache);
  for (std::uint64_t n = 0; n < 4; ++n) write_whole(**cache, n);
  (*cache)->touch(identity(0).key);
  write_whole(**cache, 4);
  EXPECT_TRUE((*cache)->find(identity(0).key));
  EXPECT_FALSE((*cache)->find(identity(1).key));
  EXPECT_EQ(folder.files().size(), 4u);
  EXPECT_EQ((*cache)->status().bytes, 4 * one);
  cache->reset();
  cache = DiskCache::open(folder.path(), 2 * one);  // a smaller bound holds at once
  ASSERT_TRUE(cache);
  EXPECT_EQ(folder.files().size(), 2u);
}

TEST(DiskCache, GoesOnWithoutAFolderThatWentAway) {
  const Folder folder;
  auto cache = DiskCache::open(folder.path(), 1 << 20);
  ASSERT_TRUE(cache);
  write_whole(**cache, 1);
  fs::remove_all(folder.pages());
  write_whole(**cache, 2);
  EXPECT_EQ((*cache)->status().failed_writes, 1u);
  EXPECT_TRUE((*cache)->offer(identity(3), page_of(3)));  // taken and dropped until it is tried again
  Bytes page(1000);
  EXPECT_FALSE((*cache)->read(identity(1), page));
  EXPECT_EQ((*cache)->status().damaged, 0u);
}

TEST(DiskCache, RefusesAFolderThatCannotBe) {
  const Folder folder;
  std::ofstream(folder.path() + "/file") << "x";
  const auto cache = DiskCache::open(folder.path() + "/file", 1 << 20);
  ASSERT_FALSE(cache);
  EXPECT_NE(cache.error().message.find("/file"), std::string::npos);
}

// The engine over it.

std::shared_ptr<DiskCache> opened(const Folder& folder, std::uint64_t most_bytes = 64 << 20) {
  auto cache = DiskCache::open(folder.path(), most_bytes);
  EXPECT_TRUE(cache);
  return cache ? *cache : nullptr;
}

class DiskReuse : public testing::TestWithParam<bool> {};

TEST_P(DiskReuse, AConversationGoesOnAfterARestart) {
  const bool two = GetParam();
  const Folder folder;
  const Ids question = text(150, 5);
  Answer second, again;
  Ids next;
  {
    Served served(two, 200, {.disk = opened(folder)});
    next = question + served.ask(question, 110, "ann").ids + text(150, 6);
    second = served.ask(next, 50, "ann");
    EXPECT_EQ(served.engine().status().pages_from_disk, 0u);
  }
  Served served(two, 200, {.disk = opened(folder)});
  again = served.ask(next, 50, "ann");
  EXPECT_EQ(again.ids, second.ids);
  EXPECT_EQ(second.cached, two ? 256 : 259);
  EXPECT_EQ(again.cached, 384);
  EXPECT_EQ(served.engine().status().pages_from_disk, 6u);
  EXPECT_EQ(served.ask(next, 1, "bob").cached, 0);
  EXPECT_EQ(Served(!two, 200, {.disk = opened(folder)}).ask(next, 1, "ann").cached, 0);  // another model
}

TEST_P(DiskReuse, OwnersShareOnlyWhereThatIsAsked) {
  const Folder folder;
  const Ids prompt = text(300, 5);
  Served served(GetParam(), 200, {.disk = opened(folder), .share_prefixes = true});
  served.ask(prompt, 1, "ann");
  EXPECT_EQ(served.ask(prompt, 1, "bob").cached, 256);
}

TEST_P(DiskReuse, ARunThatIsToStayInMemoryReachesNoDisk) {
  const Folder folder;
  const Ids prompt = text(300, 5);
  const std::string owner = std::string(kInMemoryOwner) + "secret";
  {
    Served served(GetParam(), 200, {.disk = opened(folder)});
    const Answer answer = served.ask(prompt, 110, owner);
    EXPECT_GT(served.ask(prompt + answer.ids, 1, owner).cached, 200);  // the next turn finds it
  }
  EXPECT_TRUE(folder.files().empty());
  Served(GetParam(), 200, {.disk = opened(folder)}).ask(prompt, 1, "secret");
  EXPECT_FALSE(folder.files().empty());
}

TEST_P(DiskReuse, DamagedPagesAreComputedAgain) {
  const bool two = GetParam();
  const Folder folder;
  const Ids prompt = text(1000, 9);
  Served(two, 200, {.disk = opened(folder)}).ask(prompt, 1);
  const auto files = folder.files();
  ASSERT_EQ(files.size(), 16u);
  std::fstream(files[4], std::ios::in | std::ios::out | std::ios::binary).seekp(300) << "damage";
  fs::resize_file(files[9], 100);
  Served served(two, 200, {.disk = opened(folder)});
  const Answer answer = served.ask(prompt, 20);
  EXPECT_EQ(answer.ids, Served(two).ask(prompt, 20).ids);
  EXPECT_LT(answer.cached, 960);
}

TEST_P(DiskReuse, RunsThatAreSetAsideComeBackFromDisk) {
  const bool two = GetParam();
  const Folder folder;
  Served served(two, 24, {.disk = opened(folder)});
  std::latch all_submitted(1);
  served.model().on_step = [&](const model::Step& step) {
    all_submitted.wait();
    if (step.rows() > 1) std::this_thread::sleep_for(std::chrono::microseconds(300));  // as slow as a disk at least
  };
  Seen seen[6];
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(served.engine().submit(Served::run(text(200, 30 + i), 500), seen[i].sink()));
  all_submitted.count_down();
  for (int i = 0; i < 6; ++i) {
    seen[i].wait();
    EXPECT_EQ(seen[i].ids, Served(two).ask(text(200, 30 + i), 500).ids);
  }
  EXPECT_GT(served.engine().status().set_aside, 0u);
  EXPECT_GT(served.engine().status().pages_from_disk, 0u);
}

INSTANTIATE_TEST_SUITE_P(Forms, DiskReuse, testing::Bool(),
                         [](const auto& forms) { return forms.param ? "Two" : "One"; });

}  // namespace
}  // namespace fathom::engine
