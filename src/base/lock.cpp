#include "base/lock.h"

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <string_view>
#include <thread>
#include <utility>

#include "base/files.h"

namespace lossatlas {
namespace {

constexpr auto kPause = std::chrono::milliseconds(50);
constexpr int kPauses = 40;  // two seconds: a lock that names nobody for so long was left by a kill

std::optional<ProcessName> named_in(const std::filesystem::path& file) {
  try {
    return process_from_text(content_of(file).value_or(""));
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// Throws Error for what was never a lock. One that a kill cut short is empty, or at least begins like one.
void refuse_others(const std::filesystem::path& file) {
  constexpr std::string_view kBegin = "{\"boot\":";
  std::error_code code;
  const auto status = std::filesystem::symlink_status(file, code);
  if (!std::filesystem::exists(status)) return;
  if (std::filesystem::is_regular_file(status)) {
    const std::string text = content_of(file).value_or("");
    if (text.starts_with(kBegin) || kBegin.starts_with(text)) return;
  }
  throw Error("{}: not a lock of this program, which keeps one under this name; move it away, or choose another `out`",
              file.string());
}

/// Whom the file names, after a moment for a process that is about to write its name; nobody where it stays without.
/// Throws Error if the file is not a lock.
std::optional<ProcessName> settled_name(const std::filesystem::path& file) {
  refuse_others(file);
  std::error_code code;
  for (int pause = 0; pause < kPauses && std::filesystem::exists(file, code); ++pause) {
    if (auto named = named_in(file)) return named;
    std::this_thread::sleep_for(kPause);
  }
  return std::nullopt;
}

/// Makes the file and writes the name into it. False if it exists.
bool make_lock(const std::filesystem::path& file, const ProcessName& owner) {
  const NewFile result = make_new_file(file, to_text(owner));
  if (result == NewFile::no_folder) throw Error("{}: cannot be created ({})", file.string(), std::strerror(ENOENT));
  return result == NewFile::made;
}

/// Takes a lock away that a dead process left. Who does this holds a lock of its own meanwhile: so that what it reads
/// is what it removes, and never a new lock that another process made in between. Throws HeldError if another
/// process is at it.
void remove_dead(const std::filesystem::path& file, const std::optional<ProcessName>& dead) {
  auto taking = file;
  taking += ".taking";
  const FileLock alone(taking);
  const bool is_left = dead ? named_in(file) == dead : !settled_name(file);
  if (is_left && ::unlink(file.c_str()) != 0 && errno != ENOENT) {
    throw Error("{}: was left by a dead process and cannot be removed ({})", file.string(), std::strerror(errno));
  }
}

}  // namespace

HeldError::HeldError(const std::filesystem::path& lock, const ProcessName& by)
    : Error("{}: held by process {} on {} since {}{}", lock.string(), by.pid, by.host, by.since,
            life_of(by) == Life::alive ? "" : "; delete this file if that process is gone"),
      holder_(by) {}

FileLock::FileLock(std::filesystem::path file) : file_(std::move(file)), owner_(this_process()) {
  for (int pause = 0; !make_lock(file_, owner_); ++pause) {
    const auto named = settled_name(file_);
    if (named && life_of(*named) != Life::dead) throw HeldError(file_, *named);
    try {
      remove_dead(file_, named);
    } catch (const HeldError&) {
      if (pause == kPauses) throw;
      std::this_thread::sleep_for(kPause);
    }
  }
}

FileLock::FileLock(FileLock&& other) noexcept
    : file_(std::exchange(other.file_, {})), owner_(std::move(other.owner_)) {}

FileLock::~FileLock() {
  // Not one that somebody else made after this one was deleted by hand.
  if (!file_.empty() && named_in(file_) == owner_) ::unlink(file_.c_str());
}

std::optional<ProcessName> FileLock::holder(const std::filesystem::path& file) {
  auto named = settled_name(file);
  return named && life_of(*named) != Life::dead ? named : std::nullopt;
}

}  // namespace lossatlas
