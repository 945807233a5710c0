#include "checkpoint/zip_directory.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace lossatlas {
namespace {

/// A number of a zip's record, which is little-endian.
template <class Number>
Number field(std::string_view record, std::size_t at) {
  if (record.size() < at + sizeof(Number)) throw Error("has a damaged directory");
  Number number = 0;
  std::memcpy(&number, record.data() + at, sizeof number);
  return number;
}

/// All entries of the directory, one after the other.
std::string directory_of(const InputFile& file) {
  constexpr std::uint64_t kEnd = 22, kMostComment = 65535, kLocator = 20, kEnd64 = 56;
  const std::uint64_t longest = std::min(file.size(), kEnd + kMostComment);
  const std::string tail = file.text(file.size() - longest, longest);
  const std::size_t at = tail.rfind("PK\x05\x06");
  if (at == tail.npos) throw Error("has no directory: it is damaged or incomplete");
  const std::string_view end = std::string_view(tail).substr(at);
  std::uint64_t size = field<std::uint32_t>(end, 12), offset = field<std::uint32_t>(end, 16);
  if (const std::uint64_t place = file.size() - longest + at; place >= kLocator) {
    const std::string locator = file.text(place - kLocator, kLocator);
    if (locator.starts_with("PK\x06\x07")) {
      const std::string end64 = file.text(field<std::uint64_t>(locator, 8), kEnd64);
      size = field<std::uint64_t>(end64, 40);
      offset = field<std::uint64_t>(end64, 48);
    }
  }
  return file.text(offset, size);
}

}  // namespace

ZipDirectory read_zip_directory(const InputFile& file) {
  constexpr std::size_t kHeader = 46;
  const std::string entries = directory_of(file);
  ZipDirectory directory;
  for (std::string_view rest = entries; rest.starts_with("PK\x01\x02");) {
    const std::size_t name_size = field<std::uint16_t>(rest, 28);
    const std::size_t size = kHeader + name_size + field<std::uint16_t>(rest, 30) + field<std::uint16_t>(rest, 32);
    if (size > rest.size()) throw Error("has a damaged directory");
    const std::string name(rest.substr(kHeader, name_size));
    if (directory.checksum.empty()) directory.folder = name.substr(0, name.find('/') + 1);
    directory.checksum.emplace(name, field<std::uint32_t>(rest, 16));
    rest.remove_prefix(size);
  }
  return directory;
}

}  // namespace lossatlas
