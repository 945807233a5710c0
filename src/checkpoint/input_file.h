#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "base/descriptor.h"

namespace lossatlas {

/// A file opened for reading; several threads may read it at once. Errors carry no file name.
class InputFile {
 public:
  /// Throws Error if the file cannot be opened, or is a folder, a pipe or a device.
  explicit InputFile(const std::filesystem::path& file);

  /// In bytes, when it was opened.
  std::uint64_t size() const { return size_; }

  /// Reads all of it at once: from then on these bytes are the file, whatever becomes of it on the disk. Not while
  /// another thread reads. Throws as read does.
  void load();
  /// The bytes that load() read; null before.
  const std::shared_ptr<const std::string>& content() const { return content_; }

  /// Throws Error if the file does not have that many bytes there.
  void read(std::uint64_t offset, std::span<std::byte> bytes) const;

  /// `count` bytes from `offset`, or as many as there are.
  std::string text(std::uint64_t offset, std::uint64_t count) const;

 private:
  Descriptor descriptor_;
  std::uint64_t size_ = 0;
  std::shared_ptr<const std::string> content_;
};

/// Called in a catch clause: throws Error, its text headed by the file's name once, in the place of an Error, an error
/// of LibTorch or of the file system, or std::bad_alloc. Rethrows any other exception.
[[noreturn]] void rethrow_with_name(const std::filesystem::path& file);

/// What `work` returns, with the file's name in whatever error it throws.
template <class Work>
auto with_name(const std::filesystem::path& file, const Work& work) {
  try {
    return work();
  } catch (...) {
    rethrow_with_name(file);
  }
}

}  // namespace lossatlas
