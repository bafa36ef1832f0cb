// Limits of control groups, from folders that look like a system's root.
#include "base/machine.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace fathom::base {
namespace {

constexpr std::size_t kMegabyte = std::size_t{1} << 20;

class Machine : public testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::temp_directory_path() / fmt_name();
    write("proc/meminfo", "MemTotal:       16384000 kB\nMemFree:  1000 kB\nMemAvailable:    8192000 kB\n");
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  static std::string fmt_name() { return "fathom-machine-" + std::to_string(::getpid()); }
  std::string root() const { return root_.string() + "/"; }
  void write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }
  static int processors() {
    cpu_set_t set;
    return ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  }

  std::filesystem::path root_;
};

TEST_F(Machine, WithoutLimitsIsTheAffinityAndWhatIsAvailable) {
  EXPECT_EQ(usable_threads(root()), processors());
  EXPECT_EQ(usable_memory(root()), std::size_t{8192000} * 1024);
}

TEST_F(Machine, TheAffinityCounts) {
  cpu_set_t before, one;
  ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  CPU_ZERO(&one);
  for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++i)
    if (CPU_ISSET(i, &before)) CPU_SET(i, &one);
  ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(usable_threads(root()), 1);
  ::sched_setaffinity(0, sizeof before, &before);
}

TEST_F(Machine, Version2LimitsHold) {
  write("proc/self/cgroup", "0::/pod/container\n");
  const std::string group = "sys/fs/cgroup/pod/container/";
  write(group + "cpu.max", "50000 100000\n");
  write(group + "memory.max", std::to_string(1000 * kMegabyte) + "\n");
  write(group + "memory.current", std::to_string(600 * kMegabyte) + "\n");
  write(group + "memory.stat", "anon 1\nactive_file " + std::to_string(100 * kMegabyte) + "\ninactive_file " +
                                   std::to_string(200 * kMegabyte) + "\n");
  EXPECT_EQ(usable_threads(root()), 1);
  EXPECT_EQ(usable_memory(root()), 700 * kMegabyte);
}

TEST_F(Machine, AGroupAboveLimitsToo) {
  write("proc/self/cgroup", "0::/pod/container\n");
  write("sys/fs/cgroup/pod/container/cpu.max", "max 100000\n");
  write("sys/fs/cgroup/pod/container/memory.max", "max\n");
  write("sys/fs/cgroup/pod/container/memory.current", "5\n");
  write("sys/fs/cgroup/pod/cpu.max", "100000 100000\n");
  write("sys/fs/cgroup/pod/memory.max", std::to_string(64 * kMegabyte) + "\n");
  write("sys/fs/cgroup/pod/memory.current", "0\n");
  EXPECT_EQ(usable_threads(root()), 1);
  EXPECT_EQ(usable_memory(root()), 64 * kMegabyte);
}

TEST_F(Machine, Version1LimitsHold) {
  // In a container the group's own path is often not mounted, only its root.
  write("proc/self/cgroup", "4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n0::/\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "150000\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", std::to_string(1000 * kMegabyte) + "\n");
  write("sys/fs/cgroup/memory/memory.usage_in_bytes", std::to_string(900 * kMegabyte) + "\n");
  // Version 1 tells the group's own cache and, as total_, that of the groups below with it: not to be added up.
  const std::string cache = std::to_string(400 * kMegabyte);
  write("sys/fs/cgroup/memory/memory.stat", "inactive_file " + cache + "\ntotal_inactive_file " + cache + "\n");
  EXPECT_EQ(usable_threads(root()), std::min(2, processors()));
  EXPECT_EQ(usable_memory(root()), 500 * kMegabyte);
}

TEST_F(Machine, NoLimitInVersion1IsNoLimit) {
  write("proc/self/cgroup", "4:memory:/\n1:cpu:/\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  write("sys/fs/cgroup/memory/memory.usage_in_bytes", "4096\n");
  EXPECT_EQ(usable_threads(root()), processors());
  EXPECT_EQ(usable_memory(root()), std::size_t{8192000} * 1024);
}

TEST_F(Machine, NonsenseIsIgnored) {
  write("proc/self/cgroup", "nonsense\n::::\n0::/a\n1:cpu\n");
  write("sys/fs/cgroup/a/cpu.max", "0 0\n");
  write("sys/fs/cgroup/a/memory.max", "-\n");
  EXPECT_EQ(usable_threads(root()), processors());
  EXPECT_EQ(usable_memory(root()), std::size_t{8192000} * 1024);
  write("proc/meminfo", "");
  EXPECT_EQ(usable_memory(root()), 0u);
}

TEST_F(Machine, ThisOneHasSomething) {
  EXPECT_GE(usable_threads(), 1);
  EXPECT_GT(usable_memory(), kMegabyte);
}

}  // namespace
}  // namespace fathom::base
