#pragma once

#include <filesystem>
#include <optional>

#include "base/error.h"
#include "base/process.h"

namespace lossatlas {

/// Somebody else holds a lock.
class HeldError : public Error {
 public:
  HeldError(const std::filesystem::path& lock, const ProcessName& by);
  const ProcessName& holder() const { return holder_; }

 private:
  ProcessName holder_;
};

/// A lock file: there while its holder works, made with O_CREAT | O_EXCL, which network file systems keep too. It names
/// the holder. One that a dead process of this host left is taken over; one of another host is not, for whether that
/// process lives cannot be known here.
class FileLock {
 public:
  /// Throws HeldError if another process has it, Error if the file cannot be made, or is not a lock.
  explicit FileLock(std::filesystem::path file);
  FileLock(FileLock&& other) noexcept;
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

  /// The process that holds the lock, or may; nobody where the file is missing or was left by a dead process.
  /// Throws Error if the file is not a lock: it belongs to somebody else.
  static std::optional<ProcessName> holder(const std::filesystem::path& file);

 private:
  std::filesystem::path file_;  // "" if it was moved from
  ProcessName owner_;
};

}  // namespace lossatlas
