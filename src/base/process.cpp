#include "base/process.h"

#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <array>
#include <climits>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string_view>

#include "base/error.h"
#include "base/json.h"

namespace lossatlas {
namespace {

std::string host_name() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 && name[0] != 0 ? name.data() : "localhost";
}

std::string first_line(const char* file) {
  std::ifstream stream(file);
  std::string line;
  std::getline(stream, line);
  return line;
}

/// Of a file of lines like "MemAvailable:   123 kB"; 0 if it has none of this name.
std::uint64_t bytes_of(const char* file, std::string_view name) {
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with(name)) return std::strtoull(line.c_str() + name.size(), nullptr, 10) * 1024;
  }
  return 0;
}

std::string pid_space() {
  std::error_code code;
  return std::filesystem::read_symlink("/proc/self/ns/pid", code).string();
}

/// Start of a process that runs; none for one that ended, though its parent has not asked for its end yet.
std::optional<std::uint64_t> start_of(std::int64_t pid) {
  const std::string line = first_line(fmt::format("/proc/{}/stat", pid).c_str());
  const auto name_end = line.rfind(')');  // the name may hold anything
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(line.substr(name_end + 1));
  std::string field;
  fields >> field;
  if (field == "Z" || field == "X") return std::nullopt;
  for (int number = 4; number <= 22; ++number) fields >> field;
  return std::stoull(field);
}

}  // namespace

bool same_process(const ProcessName& a, const ProcessName& b) {
  return a.host == b.host && a.pid == b.pid && a.boot == b.boot && a.pid_space == b.pid_space && a.start == b.start;
}

ProcessName this_process() {
  const std::int64_t pid = ::getpid();
  return {.host = host_name(),
          .pid = pid,
          .since = utc_now(),
          .boot = first_line("/proc/sys/kernel/random/boot_id"),
          .pid_space = pid_space(),
          .start = start_of(pid).value_or(0)};
}

Life life_of(const ProcessName& process) {
  if (process.host != host_name()) return Life::unknown;
  if (process.boot != first_line("/proc/sys/kernel/random/boot_id")) return Life::dead;
  if (process.pid_space != pid_space()) return Life::unknown;
  const auto start = start_of(process.pid);
  return start && *start == process.start ? Life::alive : Life::dead;
}

std::uint64_t memory_of_machine() {
  struct sysinfo machine {};
  ::sysinfo(&machine);
  return (static_cast<std::uint64_t>(machine.totalram) + machine.totalswap) * machine.mem_unit;
}

MemoryLimit::MemoryLimit() {
  struct rlimit limit {};
  ::getrlimit(RLIMIT_DATA, &limit);
  before_ = limit.rlim_cur;
  const std::uint64_t available = bytes_of("/proc/meminfo", "MemAvailable:");
  if (available == 0) return;  // an older kernel
  limit.rlim_cur = std::min<rlim_t>(before_, bytes_of("/proc/self/status", "VmData:") + available / 2);
  ::setrlimit(RLIMIT_DATA, &limit);
}

MemoryLimit::~MemoryLimit() {
  struct rlimit limit {};
  ::getrlimit(RLIMIT_DATA, &limit);
  limit.rlim_cur = before_;
  ::setrlimit(RLIMIT_DATA, &limit);
}

void release_free_memory() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

std::string to_text(const ProcessName& process) {
  return json_text(nlohmann::json{{"host", process.host},
                                  {"pid", process.pid},
                                  {"since", process.since},
                                  {"boot", process.boot},
                                  {"pid_space", process.pid_space},
                                  {"start", process.start}});
}

ProcessName process_from_text(const std::string& text) {
  try {
    const auto value = nlohmann::json::parse(text);
    return {.host = value.at("host"),
            .pid = value.at("pid"),
            .since = value.at("since"),
            .boot = value.at("boot"),
            .pid_space = value.at("pid_space"),
            .start = value.at("start")};
  } catch (const nlohmann::json::exception&) {
    throw Error("'{}' names no process", text);
  }
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

}  // namespace lossatlas
