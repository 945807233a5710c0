#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace lossatlas {

/// CRC-32 of the bytes (the polynomial of zip, PNG and Ethernet). Never 0 for bytes that are all 0.
std::uint32_t crc32(std::span<const std::byte> bytes);

}  // namespace lossatlas
