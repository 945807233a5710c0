#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace lossatlas {

/// CRC-32 of the bytes (the polynomial of zip, PNG and Ethernet). Never 0 for bytes that are all 0.
/// `before`: of the bytes in front of them, which are then included.
std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t before = 0);

/// What a part adds to the CRC-32 of the whole, from its own CRC-32 and the number of bytes after it: the whole's is
/// the XOR of what its parts add, in any order.
std::uint32_t crc32_share(std::uint32_t part, std::uint64_t bytes_after);

}  // namespace lossatlas
