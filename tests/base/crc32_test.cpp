#include "base/crc32.h"

#include <algorithm>
#include <string>
#include <vector>

#include "catch.h"

using lossatlas::crc32;
using lossatlas::crc32_share;

namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// The definition: bit by bit, the lowest first.
std::uint32_t by_definition(std::span<const std::byte> bytes) {
  std::uint32_t remainder = 0xffffffff;
  for (const std::byte byte : bytes) {
    remainder ^= static_cast<std::uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) remainder = (remainder >> 1U) ^ ((remainder & 1U) != 0 ? 0xedb88320U : 0U);
  }
  return ~remainder;
}

std::string text_of(std::size_t length) {
  std::string text(length, '\0');
  for (std::size_t i = 0; i < length; ++i) text[i] = static_cast<char>(i * i % 251 + i / 17);
  return text;
}

}  // namespace

TEST_CASE("CRC-32 gives its known answers") {  // the last two by Python's zlib.crc32
  CHECK(crc32(bytes_of("123456789")) == 0xcbf43926);
  CHECK(crc32({}) == 0);
  CHECK(crc32(bytes_of(std::string(1000, 'a'))) == 0x9a38da03);
  CHECK(crc32(bytes_of(std::string(64, '\0'))) == 0x758d6336);
}

TEST_CASE("CRC-32 of every length is that of the definition, whole, continued and from parts in any order") {
  for (std::size_t length = 0; length < 300; ++length) {
    CAPTURE(length);
    const std::string text = text_of(length);
    const auto bytes = bytes_of(text);
    const std::uint32_t expected = by_definition(bytes);
    REQUIRE(crc32(bytes) == expected);
    const std::size_t cut = length / 3, second = length / 2;
    REQUIRE(crc32(bytes.subspan(cut), crc32(bytes.first(cut))) == expected);
    const auto share = [&](std::size_t begin, std::size_t end) {
      return crc32_share(crc32(bytes.subspan(begin, end - begin)), length - end);
    };
    REQUIRE((share(second, length) ^ share(0, cut) ^ share(cut, second)) == expected);
  }
}
