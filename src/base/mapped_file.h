#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace lossatlas {

/// A file's bytes in the address space, read from the disk when they are first used: for as long as this lives. A file
/// that is cut meanwhile ends the program, as with any mapping; one that is replaced by a rename does not.
class MappedFile {
 public:
  /// Throws Error if the file cannot be opened, or is a folder, a pipe or a device.
  explicit MappedFile(const std::filesystem::path& file);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(begin_), size_}; }

 private:
  void* begin_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace lossatlas
