#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "base/mapped_file.h"
#include "base/zip_directory.h"
#include "data/array_file.h"
#include "data/npy.h"

namespace lossatlas {

/// What numpy.savez and savez_compressed write. Arrays that are stored, not compressed, are mapped where they can be
/// used as they are.
class NpzFile : public ArrayFile {
 public:
  /// Throws Error naming the file.
  explicit NpzFile(const std::filesystem::path& file);
  Array read(const Entry& entry) const override;

 private:
  Array read(const ZipEntry& member) const;
  std::span<const std::byte> packed(const ZipEntry& entry) const;
  NpyHeader header_of(const ZipEntry& entry) const;

  std::shared_ptr<const MappedFile> mapped_;
  std::map<std::string, ZipEntry> members_;  // by the array's name
};

}  // namespace lossatlas
