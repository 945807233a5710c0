#include "base/lock.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <future>
#include <string>
#include <vector>

#include "catch.h"
#include "temporary_folder.h"

using namespace lossatlas;

namespace {

void write(const std::filesystem::path& file, const ProcessName& name) { std::ofstream(file) << to_text(name); }

/// A process of this host that ended.
ProcessName dead_process() {
  ProcessName name = this_process();
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  name.pid = child;
  return name;
}

/// In a child: tries to get the lock, says whether it did, and keeps it until it is killed.
[[noreturn]] void compete(const std::filesystem::path& file, int answer) {
  try {
    const FileLock lock(file);
    if (::write(answer, "1", 1) == 1) ::pause();
  } catch (const Error&) {
    if (::write(answer, "0", 1) == 1) ::pause();
  }
  ::_exit(0);
}

}  // namespace

TEST_CASE("a lock is there while it is held, and names its holder") {
  const TemporaryFolder folder;
  const auto file = folder / "s.h5.lock";
  {
    const FileLock lock(file);
    CHECK(FileLock::holder(file)->pid == ::getpid());
    CHECK_THROWS_AS(FileLock(file), HeldError);
    CHECK_THROWS_WITH(FileLock(file), ContainsSubstring(std::to_string(::getpid())));
  }
  CHECK_FALSE(std::filesystem::exists(file));
  CHECK_FALSE(FileLock::holder(file));
  const FileLock again(file);
}

TEST_CASE("the lock of a dead process of this host is taken over") {
  const TemporaryFolder folder;
  const auto file = folder / "s.h5.lock";
  write(file, dead_process());
  CHECK_FALSE(FileLock::holder(file));
  const FileLock lock(file);
  CHECK(FileLock::holder(file)->pid == ::getpid());
}

TEST_CASE("a number of a process that came again, and a boot before this one, are seen through") {
  const TemporaryFolder folder;
  for (const bool boot : {false, true}) {
    ProcessName name = this_process();
    if (boot) name.boot = "another";
    if (!boot) name.start += 1;
    write(folder / "s.h5.lock", name);
    CHECK_FALSE(FileLock::holder(folder / "s.h5.lock"));
    const FileLock lock(folder / "s.h5.lock");
  }
}

TEST_CASE("the lock of another host or container is kept, and the line says which file to delete") {
  const TemporaryFolder folder;
  const auto file = folder / "s.h5.lock";
  for (const bool container : {false, true}) {
    ProcessName name = dead_process();
    (container ? name.pid_space : name.host) = "elsewhere";
    write(file, name);
    CHECK_THROWS_WITH(FileLock(file), ContainsSubstring("delete this file"));
    CHECK(std::filesystem::exists(file));
  }
}

TEST_CASE("a lock that names nobody is what a kill left") {
  const TemporaryFolder folder;
  std::vector<std::future<std::int64_t>> holders;  // at a time: each waits for its name
  for (const std::string left : {"{\"boot\":\"1", ""}) {
    const auto file = folder / (std::to_string(left.size()) + ".lock");
    std::ofstream(file) << left;
    holders.push_back(std::async(std::launch::async, [file] {
      const FileLock lock(file);
      return std::int64_t{FileLock::holder(file)->pid};
    }));
  }
  for (auto& holder : holders) CHECK(holder.get() == ::getpid());
}

TEST_CASE("a file that was never a lock is neither removed nor taken for one") {
  const TemporaryFolder folder;
  std::ofstream(folder / "text") << "my notes";
  std::filesystem::create_directory(folder / "folder");
  std::filesystem::create_symlink("nowhere", folder / "link");
  for (const char* name : {"text", "folder", "link"}) {
    CHECK_THROWS_WITH(FileLock(folder / name), ContainsSubstring("move it away"));
    CHECK_THROWS_WITH(FileLock::holder(folder / name), ContainsSubstring("move it away"));
    CHECK(std::filesystem::exists(std::filesystem::symlink_status(folder / name)));
  }
}

TEST_CASE("a lock that somebody replaced is not removed by the one before") {
  const TemporaryFolder folder;
  const auto file = folder / "s.h5.lock";
  ProcessName other = this_process();
  other.host = "elsewhere";
  {
    const FileLock lock(file);
    write(file, other);
  }
  CHECK(std::filesystem::exists(file));
}

TEST_CASE("of processes that take over a dead one's lock at a time, one gets it") {
  const TemporaryFolder folder;
  const auto file = folder / "s.h5.lock";
  constexpr int kProcesses = 8;
  for (int round = 0; round < 20; ++round) {
    write(file, dead_process());
    if (round % 2 == 1) write(folder / "s.h5.lock.taking", dead_process());  // one that was killed while it took over
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    std::vector<pid_t> children;
    for (int i = 0; i < kProcesses; ++i) {
      children.push_back(::fork());
      if (children.back() == 0) compete(file, ends[1]);
    }
    std::string answers(kProcesses, ' ');
    for (char& answer : answers) REQUIRE(::read(ends[0], &answer, 1) == 1);
    CHECK(std::count(answers.begin(), answers.end(), '1') == 1);
    for (const pid_t child : children) {
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, 0);
    }
    ::close(ends[0]);
    ::close(ends[1]);
    CHECK_FALSE(std::filesystem::exists(folder / "s.h5.lock.taking"));
  }
}
