#include "data/npz.h"

#include <zlib.h>

#include <algorithm>
#include <string_view>

#include "base/crc32.h"
#include "base/error.h"
#include "pickle/printable.h"

namespace lossatlas {
namespace {

constexpr std::uint64_t kMostDeflated = 1032;  // bytes that deflate makes of one, at most

/// Unpacks until `out` is full. Throws Error if there is not that much.
void inflate_into(std::span<const std::byte> packed, std::span<std::byte> out) {
  constexpr std::size_t kBlock = 1 << 30;  // zlib counts in 32 bits
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) throw Error("zlib does not start");
  const std::unique_ptr<z_stream, int (*)(z_stream*)> owned(&stream, inflateEnd);
  int state = Z_OK;
  while (state == Z_OK && !out.empty()) {
    const auto in = packed.first(std::min(packed.size(), kBlock));
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data()));
    stream.avail_in = static_cast<uInt>(in.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(std::min(out.size(), kBlock));
    const std::size_t room = stream.avail_out;
    state = inflate(&stream, Z_NO_FLUSH);
    packed = packed.subspan(in.size() - stream.avail_in);
    out = out.subspan(room - stream.avail_out);
  }
  if (!out.empty()) throw Error("is damaged or cut off");
}

}  // namespace

NpzFile::NpzFile(const std::filesystem::path& file)
    : ArrayFile(file), mapped_(std::make_shared<const MappedFile>(file)) {
  const std::string_view text(reinterpret_cast<const char*>(mapped_->bytes().data()), mapped_->bytes().size());
  try {
    if (!text.starts_with("PK")) throw Error("is not an .npz file, as numpy.savez writes");
    for (ZipEntry& entry : read_zip_directory(text.size(), [&](std::uint64_t offset, std::uint64_t count) {
           return std::string(text.substr(std::min<std::uint64_t>(offset, text.size()), count));
         })) {
      if (!entry.name.ends_with(".npy")) continue;  // not of NumPy
      std::string name = entry.name.substr(0, entry.name.size() - 4);
      if (!members_.emplace(name, entry).second) throw Error("holds '{}' twice", pickle::printable(name));
      try {
        const NpyHeader header = header_of(entry);
        entries_.push_back({name, type_name(header.type), header.shape});
      } catch (const Error&) {  // whoever reads it is told
        entries_.push_back({name, "unreadable", {}});
      }
    }
    if (entries_.empty()) throw Error("is a zip without arrays of NumPy; numpy.savez writes them");
  } catch (const Error& error) {
    throw Error("{}: {}", file.string(), error.what());
  }
}

std::span<const std::byte> NpzFile::packed(const ZipEntry& entry) const {
  constexpr std::size_t kHeader = 30;
  const auto bytes = mapped_->bytes();
  if (entry.header > bytes.size() || bytes.size() - entry.header < kHeader) throw Error("is damaged or cut off");
  const auto* header = reinterpret_cast<const char*>(bytes.data() + entry.header);
  const auto rest = bytes.subspan(entry.header);
  const std::uint64_t begin = zip_header_size(std::string(header, kHeader));
  if (begin > rest.size() || entry.packed > rest.size() - begin) throw Error("is damaged or cut off");
  if (!entry.is_stored && !entry.is_deflated) throw Error("is compressed in a way that NumPy does not use");
  if (entry.is_stored && entry.packed != entry.size) throw Error("is damaged or encrypted");
  return rest.subspan(begin, entry.packed);
}

NpyHeader NpzFile::header_of(const ZipEntry& entry) const {
  const auto bytes = packed(entry);
  if (entry.is_stored) return read_npy_header(bytes);
  if (entry.size / kMostDeflated > bytes.size()) throw Error("announces more bytes than it can unpack to");
  std::vector<std::byte> head(std::min<std::uint64_t>(entry.size, kNpyHead));
  inflate_into(bytes, head);
  return read_npy_header(head);
}

Array NpzFile::read(const Entry& entry) const {
  try {
    return read(members_.at(entry.name));
  } catch (const Error& error) {
    throw Error("{}: {}: {}", file_.string(), entry.name, error.what());
  }
}

Array NpzFile::read(const ZipEntry& entry) const {
  const NpyHeader header = header_of(entry);
  const std::uint64_t size = numbers_size(header);
  if (entry.size - header.size != size) {
    throw Error("announces {} bytes of numbers and holds {}: damaged or cut off", size, entry.size - header.size);
  }
  std::span<const std::byte> bytes = packed(entry);
  std::shared_ptr<const void> owner = mapped_;
  if (!entry.is_stored) {
    const auto unpacked = memory_for(entry.size);
    inflate_into(bytes, {unpacked.get(), entry.size});
    bytes = {unpacked.get(), entry.size};
    owner = unpacked;
  }
  if (entry.checksum != 0 && crc32(bytes) != entry.checksum) throw Error("does not have its CRC-32: it is damaged");
  return npy_array(header, std::shared_ptr<const void>(owner, bytes.data() + header.size));
}

}  // namespace lossatlas
