#include "base/crc32.h"

#include <zlib.h>

namespace lossatlas {

std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t before) {
  if (bytes.empty()) return before;
  return static_cast<std::uint32_t>(
      ::crc32_z(before, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
}

std::uint32_t crc32_share(std::uint32_t part, std::uint64_t bytes_after) {
  return static_cast<std::uint32_t>(::crc32_combine(part, 0, static_cast<z_off_t>(bytes_after)));
}

}  // namespace lossatlas
