#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/mapped_file.h"

namespace lossatlas {

/// A zip whose members are stored, not compressed: their bytes are those of the file, read when they are first used.
class StoredZip {
 public:
  /// Throws Error for a file that is no zip, is damaged or incomplete, or has compressed members or two of one name.
  explicit StoredZip(const std::filesystem::path& file);

  bool has(const std::string& name) const { return members_.contains(name); }
  /// Throws Error, without the file's name, if there is no such member.
  std::span<const std::byte> bytes(const std::string& name) const;
  std::string_view text(const std::string& name) const;
  /// Keeps the bytes there.
  const std::shared_ptr<const MappedFile>& file() const { return file_; }

 private:
  void find_members();

  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, std::span<const std::byte>> members_;
};

}  // namespace lossatlas
