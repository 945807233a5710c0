#include "base/zip_directory.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "base/error.h"

namespace lossatlas {
namespace {

using Read = std::function<std::string(std::uint64_t, std::uint64_t)>;

/// A number of a zip's record, which is little-endian.
template <class Number>
Number field(std::string_view record, std::size_t at) {
  if (record.size() < sizeof(Number) || at > record.size() - sizeof(Number)) throw Error("has a damaged directory");
  Number number = 0;
  std::memcpy(&number, record.data() + at, sizeof number);
  return number;
}

/// All entries of the directory, one after the other.
std::string directory_of(std::uint64_t file_size, const Read& read) {
  constexpr std::uint64_t kEnd = 22, kMostComment = 65535, kLocator = 20, kEnd64 = 56;
  const std::uint64_t longest = std::min(file_size, kEnd + kMostComment);
  const std::string tail = read(file_size - longest, longest);
  const std::size_t at = tail.rfind("PK\x05\x06");
  if (at == tail.npos) throw Error("has no directory: it is damaged or incomplete");
  const std::string_view end = std::string_view(tail).substr(at);
  std::uint64_t size = field<std::uint32_t>(end, 12), offset = field<std::uint32_t>(end, 16);
  if (const std::uint64_t place = file_size - longest + at; place >= kLocator) {
    const std::string locator = read(place - kLocator, kLocator);
    if (locator.starts_with("PK\x06\x07")) {
      const std::string end64 = read(field<std::uint64_t>(locator, 8), kEnd64);
      size = field<std::uint64_t>(end64, 40);
      offset = field<std::uint64_t>(end64, 48);
    }
  }
  return read(offset, size);
}

/// Numbers of 64 bits in an entry's extra field: those that do not fit in their 32 bits, in their order.
class LargeNumbers {
 public:
  explicit LargeNumbers(std::string_view extra) {
    while (extra.size() >= 4) {
      const std::size_t size = 4U + field<std::uint16_t>(extra, 2);
      if (size > extra.size()) throw Error("has a damaged directory");
      if (field<std::uint16_t>(extra, 0) == 1) numbers_ = extra.substr(4, size - 4);
      extra.remove_prefix(size);
    }
  }
  std::uint64_t value_of(std::uint32_t number) {
    if (number != 0xFFFFFFFF) return number;
    const auto large = field<std::uint64_t>(numbers_, 0);
    numbers_.remove_prefix(sizeof large);
    return large;
  }

 private:
  std::string_view numbers_;
};

}  // namespace

std::vector<ZipEntry> read_zip_directory(std::uint64_t file_size, const Read& read) {
  constexpr std::size_t kHeader = 46;
  const std::string directory = directory_of(file_size, read);
  std::vector<ZipEntry> entries;
  for (std::string_view rest = directory; rest.starts_with("PK\x01\x02");) {
    const std::size_t name_size = field<std::uint16_t>(rest, 28), extra_size = field<std::uint16_t>(rest, 30);
    const std::size_t size = kHeader + name_size + extra_size + field<std::uint16_t>(rest, 32);
    if (size > rest.size()) throw Error("has a damaged directory");
    LargeNumbers large(rest.substr(kHeader + name_size, extra_size));
    ZipEntry& entry = entries.emplace_back();
    entry.name = rest.substr(kHeader, name_size);
    entry.is_stored = field<std::uint16_t>(rest, 10) == 0;
    entry.is_deflated = field<std::uint16_t>(rest, 10) == 8;
    entry.checksum = field<std::uint32_t>(rest, 16);
    entry.size = large.value_of(field<std::uint32_t>(rest, 24));
    entry.packed = large.value_of(field<std::uint32_t>(rest, 20));
    entry.header = large.value_of(field<std::uint32_t>(rest, 42));
    rest.remove_prefix(size);
  }
  return entries;
}

std::uint64_t zip_header_size(const std::string& header) {
  return std::uint64_t{30} + field<std::uint16_t>(header, 26) + field<std::uint16_t>(header, 28);
}

}  // namespace lossatlas
