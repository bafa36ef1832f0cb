#include "base/process.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace fathom::base {

namespace {

std::int64_t entries_of(const char* folder) {
  std::error_code error;
  std::int64_t count = 0;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) ++count;
  return count;
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

}  // namespace

ProcessUse process_use() {
  ProcessUse use;
  std::int64_t all_pages = 0, resident_pages = 0;
  std::ifstream("/proc/self/statm") >> all_pages >> resident_pages;
  const std::int64_t page = sysconf(_SC_PAGESIZE);
  use.virtual_bytes = all_pages * page;
  use.resident_bytes = resident_pages * page;
  use.open_files = entries_of("/proc/self/fd");
  use.threads = entries_of("/proc/self/task");
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) use.most_open_files = static_cast<std::int64_t>(files.rlim_cur);
  rusage used{};
  if (getrusage(RUSAGE_SELF, &used) == 0) use.cpu_seconds = seconds(used.ru_utime) + seconds(used.ru_stime);
  return use;
}

}  // namespace fathom::base
