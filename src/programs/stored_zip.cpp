#include "programs/stored_zip.h"

#include <algorithm>
#include <cstdint>

#include "base/error.h"
#include "base/zip_directory.h"

namespace lossatlas {

StoredZip::StoredZip(const std::filesystem::path& file) : file_(std::make_shared<const MappedFile>(file)) {
  try {
    find_members();
  } catch (const Error& error) {
    throw Error("{}: {}", file.string(), error.what());
  }
}

void StoredZip::find_members() {
  const auto bytes = file_->bytes();
  const auto part = [&](std::uint64_t offset, std::uint64_t count) {
    offset = std::min<std::uint64_t>(offset, bytes.size());
    return bytes.subspan(offset, std::min<std::uint64_t>(count, bytes.size() - offset));
  };
  const auto text_of = [&](std::uint64_t offset, std::uint64_t count) {
    const auto found = part(offset, count);
    return std::string(reinterpret_cast<const char*>(found.data()), found.size());
  };
  for (const ZipEntry& entry : read_zip_directory(bytes.size(), text_of)) {
    if (!entry.is_stored) throw Error("holds {} compressed; problem files are stored", entry.name);
    const auto member = part(entry.header + zip_header_size(text_of(entry.header, 30)), entry.size);
    if (member.size() != entry.size) throw Error("lacks the end of {}: it is incomplete", entry.name);
    if (!members_.emplace(entry.name, member).second) throw Error("holds {} twice: it is damaged", entry.name);
  }
}

std::span<const std::byte> StoredZip::bytes(const std::string& name) const {
  const auto found = members_.find(name);
  if (found == members_.end()) throw Error("has no {}: it is damaged or incomplete", name);
  return found->second;
}

std::string_view StoredZip::text(const std::string& name) const {
  const auto found = bytes(name);
  return {reinterpret_cast<const char*>(found.data()), found.size()};
}

}  // namespace lossatlas
