#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "checkpoint/input_file.h"

namespace lossatlas {

/// What a zip's central directory says of its entries (APPNOTE.TXT 4.3.12 to 4.3.16).
struct ZipDirectory {
  std::string folder;  // "archive/" of "archive/data.pkl", the first entry
  /// CRC-32 of each entry as it is when unpacked; 0 if it was left out.
  std::map<std::string, std::uint32_t> checksum;
};

/// Throws Error, without a file's name, if the directory is damaged.
ZipDirectory read_zip_directory(const InputFile& file);

}  // namespace lossatlas
