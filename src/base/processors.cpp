#include "base/processors.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>
#include <thread>

namespace lossatlas {
namespace {

constexpr int kNoLimit = std::numeric_limits<int>::max();

int allowed_processors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  const unsigned count = std::thread::hardware_concurrency();  // more processors than a cpu_set_t holds
  return count > 0 ? static_cast<int>(count) : kNoLimit;
}

/// Of "4" or "4,2" the first; OpenMP ignores what is no number above 0.
int omp_limit() {
  const char* text = std::getenv("OMP_NUM_THREADS");
  if (text == nullptr) return kNoLimit;
  const std::string_view words(text);
  int count = 0;
  const auto [end, failure] = std::from_chars(words.data(), words.data() + words.size(), count);
  const bool ends = end == words.data() + words.size() || *end == ',';
  return failure == std::errc{} && ends && count > 0 ? count : kNoLimit;
}

int rounded_up(double quota, double period) {
  return quota > 0 && period > 0 ? std::max(1, static_cast<int>(std::min(std::ceil(quota / period), 1e6))) : kNoLimit;
}

/// cpu.max of version 2: "QUOTA PERIOD" or "max PERIOD", in microseconds.
int limit_of_v2(const std::filesystem::path& folder) {
  std::ifstream file(folder / "cpu.max");
  double quota = 0, period = 0;
  return file >> quota >> period ? rounded_up(quota, period) : kNoLimit;
}

int limit_of_v1(const std::filesystem::path& folder) {
  std::ifstream quota_file(folder / "cpu.cfs_quota_us"), period_file(folder / "cpu.cfs_period_us");
  double quota = 0, period = 0;
  return quota_file >> quota && period_file >> period ? rounded_up(quota, period) : kNoLimit;
}

/// The least limit of a control group and of those that hold it.
template <class Limit>
int least_limit(const std::filesystem::path& root, std::filesystem::path group, const Limit& limit) {
  int least = limit(root);
  for (group = group.relative_path(); !group.empty(); group = group.parent_path()) {
    least = std::min(least, limit(root / group));
  }
  return least;
}

/// Lines of /proc/self/cgroup: "0::/path" (version 2), "4:cpu,cpuacct:/path" (version 1).
int quota() {
  const std::filesystem::path root = "/sys/fs/cgroup";
  int least = kNoLimit;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1), group = line.substr(second + 1);
    if (controllers.empty()) least = std::min(least, least_limit(root, group, limit_of_v2));
    if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
      least = std::min(least, least_limit(root / controllers, group, limit_of_v1));
    }
  }
  return least;
}

}  // namespace

int usable_processors() { return std::max(1, std::min({allowed_processors(), omp_limit(), quota()})); }

}  // namespace lossatlas
