#include "base/machine.h"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string_view>
#include <vector>

#include "base/process.h"

namespace fathom::base {
namespace {

std::optional<std::string> first_line(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  if (!std::getline(in, line)) return std::nullopt;
  return line;
}

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  return value;
}

// The control group's folders from the process's own up to the root, for cgroup v2 (one hierarchy) or for one
// controller of v1. A limit of any of them holds.
std::vector<std::string> group_folders(const std::string& root, std::string_view controller) {
  std::ifstream in(root + "proc/self/cgroup");
  std::vector<std::string> folders;
  for (std::string line; std::getline(in, line);) {
    const auto one = line.find(':'), two = line.find(':', one + 1);
    if (one == std::string::npos || two == std::string::npos) continue;
    const std::string controllers = "," + line.substr(one + 1, two - one - 1) + ",";
    const bool v2 = controllers == ",,";
    if (!v2 && controllers.find("," + std::string(controller) + ",") == std::string::npos) continue;
    const std::string base = root + "sys/fs/cgroup" + (v2 ? "" : "/" + std::string(controller));
    for (std::string path = line.substr(two + 1);; path.resize(path.rfind('/'))) {
      folders.push_back(base + (path == "/" ? "" : path));
      if (path.empty() || path.rfind('/') == std::string::npos) break;
    }
  }
  return folders;
}

double cpu_quota(const std::string& root) {
  double quota = std::numeric_limits<double>::infinity();
  for (const std::string& folder : group_folders(root, "cpu")) {
    if (const auto line = first_line(folder + "/cpu.max")) {  // v2: "max 100000" or "200000 100000"
      std::istringstream words(*line);
      std::string most, period;
      words >> most >> period;
      const auto a = number(most), b = number(period);
      if (a && b && *b > 0) quota = std::min(quota, *a / *b);
    }
    const auto most = first_line(folder + "/cpu.cfs_quota_us"), period = first_line(folder + "/cpu.cfs_period_us");
    if (most && period) {  // v1; -1: none
      const auto a = number(*most), b = number(*period);
      if (a && b && *a > 0 && *b > 0) quota = std::min(quota, *a / *b);
    }
  }
  return quota;
}

// What a group's limit leaves: its file cache is given back under pressure, so it does not count as used.
double memory_left(const std::string& folder, const char* limit_file, const char* usage_file) {
  const auto limit_line = first_line(folder + limit_file), usage_line = first_line(folder + usage_file);
  const auto limit = limit_line ? number(*limit_line) : std::nullopt,
             usage = usage_line ? number(*usage_line) : std::nullopt;
  if (!limit || !usage) return std::numeric_limits<double>::infinity();
  // Version 1 tells a group's own cache and, as total_, that of the groups below it included: the larger one counts.
  double own = 0, total = 0;
  std::ifstream stat(folder + "/memory.stat");
  for (std::string key, value; stat >> key >> value;) {
    if (key == "inactive_file" || key == "active_file") own += number(value).value_or(0);
    if (key == "total_inactive_file" || key == "total_active_file") total += number(value).value_or(0);
  }
  const double cache = std::max(own, total);
  return std::max(0.0, *limit - std::max(0.0, *usage - cache));
}

}  // namespace

int usable_threads(const std::string& root) {
  cpu_set_t set;
  CPU_ZERO(&set);
  int processors = 1;
  if (sched_getaffinity(0, sizeof set, &set) == 0) processors = std::max(1, CPU_COUNT(&set));
  const double quota = std::ceil(cpu_quota(root));
  return quota < processors ? std::max(1, static_cast<int>(quota)) : processors;
}

std::size_t usable_addresses() {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return SIZE_MAX;
  const auto taken = static_cast<std::size_t>(process_use().virtual_bytes);
  return limit.rlim_cur > taken ? limit.rlim_cur - taken : 0;
}

std::size_t usable_memory(const std::string& root) {
  double left = 0;
  std::ifstream meminfo(root + "proc/meminfo");
  for (std::string key, value, unit; meminfo >> key >> value && std::getline(meminfo, unit);)
    if (key == "MemAvailable:") left = number(value).value_or(0) * 1024;
  for (const std::string& folder : group_folders(root, "memory")) {
    left = std::min(left, memory_left(folder, "/memory.max", "/memory.current"));
    left = std::min(left, memory_left(folder, "/memory.limit_in_bytes", "/memory.usage_in_bytes"));
  }
  return static_cast<std::size_t>(left);
}

}  // namespace fathom::base
