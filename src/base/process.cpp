#include "base/process.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <new>
#include <optional>
#include <sstream>
#include <string_view>

#include "base/descriptor.h"
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

void limit(int resource, rlim_t most) {
  struct rlimit now {};
  ::getrlimit(resource, &now);
  now.rlim_cur = std::min(now.rlim_cur, most);
  ::setrlimit(resource, &now);
}

/// Writes the text of what `work` throws.
[[noreturn]] void in_child(const std::string& what, const std::function<void()>& work, unsigned seconds, int out) {
  const int nowhere = ::open("/dev/null", O_WRONLY);
  for (const int stream : {STDOUT_FILENO, STDERR_FILENO}) ::dup2(nowhere, stream);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) std::signal(signal, SIG_DFL);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_CPU, seconds);
  const std::uint64_t available = available_memory();
  if (available > 0) limit(RLIMIT_DATA, bytes_of("/proc/self/status", "VmData:") + available / 2);
  std::string text;
  try {
    work();
    ::_exit(0);
  } catch (const std::bad_alloc&) {
    text = what + " asks for more memory than is free";
  } catch (const std::exception& error) {
    text = error.what();
  }
  if (::write(out, text.data(), text.size()) < 0) ::_exit(2);
  ::_exit(1);
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

std::uint64_t available_memory() { return bytes_of("/proc/meminfo", "MemAvailable:"); }

std::uint64_t memory_of_process() { return bytes_of("/proc/self/status", "VmRSS:"); }

void run_apart(const std::string& what, const std::function<void()>& work, unsigned seconds) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw Error("no pipe: {}", std::strerror(errno));
  Descriptor reader(ends[0]);
  std::optional<Descriptor> writer(std::in_place, ends[1]);
  const pid_t child = ::fork();
  if (child < 0) throw Error("no process can be started: {}", std::strerror(errno));
  if (child == 0) in_child(what, work, seconds, ends[1]);
  writer.reset();
  std::string text;
  std::array<char, 4096> part{};
  for (ssize_t count = 0; (count = ::read(reader.get(), part.data(), part.size())) != 0;) {
    if (count > 0) text.append(part.data(), static_cast<std::size_t>(count));
    if (count < 0 && errno != EINTR) break;
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  if (signal == SIGXCPU) throw Error("{} takes more than {} s", what, seconds);
  if (signal != 0) throw Error("{} ends its process ({})", what, ::strsignal(signal));
  if (WEXITSTATUS(status) != 0) throw Error("{}", text);
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
