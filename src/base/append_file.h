#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

#include "base/descriptor.h"
#include "base/error.h"

namespace lossatlas {

/// The file was deleted while it was written.
class DeletedFile : public Error {
 public:
  using Error::Error;
};

/// A file that only grows, each addition by one write(): what was added is there after a kill of the process, and after
/// a power failure too once sync() has returned. Errors are thrown as Error naming the file and the reason.
class AppendFile {
 public:
  /// Opens the file, or makes it.
  explicit AppendFile(std::filesystem::path file);

  /// Adds the bytes whole, or throws and leaves the file as it was.
  void append(std::span<const std::byte> bytes);
  void append(std::string_view text);
  /// Waits until the disk has what was added. Throws DeletedFile if it, or its folder, was deleted meanwhile.
  void sync();

  const std::filesystem::path& path() const { return path_; }

 private:
  [[noreturn]] void fail(int reason) const;

  std::filesystem::path path_;
  Descriptor descriptor_;
};

}  // namespace lossatlas
