#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace lossatlas {

/// A process, named so that others can tell whether it still runs.
struct ProcessName {
  std::string host;
  std::int64_t pid = 0;
  std::string since;        // UTC, when the name was taken: for people
  std::string boot;         // of the machine: another one means that the process is gone
  std::string pid_space;    // where `pid` counts: containers of one host may have their own
  std::uint64_t start = 0;  // of the process, in clock ticks since the boot: numbers of processes come again

  bool operator==(const ProcessName&) const = default;
};

/// True for two names of one process, taken at different times.
bool same_process(const ProcessName& a, const ProcessName& b);

enum class Life {
  alive,
  dead,
  unknown,  // runs, if at all, where this process cannot see it: on another host, in another container
};

ProcessName this_process();
Life life_of(const ProcessName& process);

/// Bytes of main memory and swap.
std::uint64_t memory_of_machine();
/// Bytes of main memory that can be had without swapping.
std::uint64_t available_memory();
/// Bytes of main memory that this process holds.
std::uint64_t memory_of_process();

/// Runs `work` in a child process, which gets half of the memory that is free and `seconds` of processor time, and none
/// of this process's threads: work that a stranger's file decides, and that may end the process. Throws Error with the
/// text of the exception that `work` threw, or with what ended the child: "WHAT takes more than 60 s".
void run_apart(const std::string& what, const std::function<void()>& work, unsigned seconds);

/// Gives memory that was freed back to the system, where the C library can.
void release_free_memory();

/// As JSON on one line, and back. from_text throws Error for what is no name of a process.
std::string to_text(const ProcessName& process);
ProcessName process_from_text(const std::string& text);

/// "2026-01-31T12:00:00Z".
std::string utc_now();

}  // namespace lossatlas
