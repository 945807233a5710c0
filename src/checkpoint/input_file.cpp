#include "checkpoint/input_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace lossatlas {

InputFile::InputFile(const std::filesystem::path& file) {
  if (std::filesystem::is_directory(file)) {
    throw Error("is a folder, not a checkpoint");
  }
  errno = 0;
  stream_.open(file, std::ios::binary | std::ios::ate);
  if (!stream_) {
    throw Error("cannot be opened: {}", std::strerror(errno));
  }
  size_ = static_cast<std::uint64_t>(std::max<std::streamoff>(stream_.tellg(), 0));
}

void InputFile::read(std::uint64_t offset, std::span<std::byte> bytes) {
  const bool inside = offset <= size_ && bytes.size() <= size_ - offset;
  if (inside) {
    stream_.seekg(static_cast<std::streamoff>(offset));
    stream_.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  if (!inside || !stream_) {
    throw Error("breaks off before byte {}: it is damaged or incomplete", offset + bytes.size());
  }
}

std::string InputFile::text(std::uint64_t offset, std::uint64_t count) {
  std::string text(std::min(count, size_ - std::min(offset, size_)), '\0');
  read(std::min(offset, size_), std::as_writable_bytes(std::span(text)));
  return text;
}

}  // namespace lossatlas
