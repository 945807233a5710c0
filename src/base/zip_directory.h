#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace lossatlas {

/// What a zip's directory says of one of its members (PKWARE's APPNOTE.TXT 4.3.12, 4.5.3).
struct ZipEntry {
  std::string name;
  bool is_stored = true;  // not compressed
  bool is_deflated = false;
  std::uint32_t checksum = 0;  // CRC-32 of the member as it is when unpacked; 0 if it was left out
  std::uint64_t size = 0;      // bytes of the member when unpacked
  std::uint64_t packed = 0;    // bytes of it in the file
  std::uint64_t header = 0;    // where its local header begins
};

/// `read`: bytes [offset, offset + count) of the file, or those of them that there are. Throws Error, without a file's
/// name, if there is no directory or it is damaged.
std::vector<ZipEntry> read_zip_directory(
    std::uint64_t file_size, const std::function<std::string(std::uint64_t offset, std::uint64_t count)>& read);

/// Bytes between a member's local header and the member: `header` is the 30 bytes of the local header.
std::uint64_t zip_header_size(const std::string& header);

}  // namespace lossatlas
