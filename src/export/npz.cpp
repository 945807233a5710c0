#include "export/npz.h"

#include <zip.h>

#include <bit>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "storage/format.h"

namespace lossatlas {
namespace {

static_assert(std::endian::native == std::endian::little);

/// Code points of UTF-8; bytes that are none become U+FFFD.
std::u32string code_points(const std::string& text) {
  std::u32string points;
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i++]);
    const int more = lead < 0x80 ? 0 : lead >> 5 == 6 ? 1 : lead >> 4 == 14 ? 2 : lead >> 3 == 30 ? 3 : -1;
    char32_t point = more <= 0 ? lead : lead & (0x3Fu >> more);
    int left = more;
    for (; left > 0 && i < text.size() && (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80; --left) {
      point = point << 6 | (static_cast<unsigned char>(text[i++]) & 0x3F);
    }
    points += left != 0 || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000) ? U'\uFFFD' : point;
  }
  return points;
}

/// The bytes of a .npy file (version 1.0): a head that gives type and shape, its end at a multiple of 64, then values.
std::string npy(const std::string& type, const Shape& shape, std::string_view values) {
  std::string sizes;
  for (const std::size_t size : shape) sizes += fmt::format("{},", size);
  std::string head = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", type, sizes);
  constexpr std::size_t before = 10, alignment = 64;
  head.append(alignment - 1 - (before + head.size()) % alignment, ' ');
  head += '\n';
  const auto length = static_cast<std::uint16_t>(head.size());
  std::string bytes = "\x93NUMPY\x01";
  bytes += '\0';
  bytes.append(reinterpret_cast<const char*>(&length), sizeof length);
  return (bytes += head) += values;
}

template <class T>
std::string npy(const std::string& type, const Shape& shape, const std::vector<T>& values) {
  return npy(type, shape, std::string_view(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)));
}

std::string npy_of_texts(const Shape& shape, const std::vector<std::string>& texts) {
  std::vector<std::u32string> decoded;
  std::size_t longest = 1;
  for (const auto& text : texts) {
    decoded.push_back(code_points(text));
    longest = std::max(longest, decoded.back().size());
  }
  std::u32string all;
  for (auto& text : decoded) {
    text.resize(longest, U'\0');
    all += text;
  }
  return npy(fmt::format("<U{}", longest), shape,
             std::string_view(reinterpret_cast<const char*>(all.data()), all.size() * 4));
}

/// A zip archive in memory, its members stored as they are.
class Archive {
 public:
  Archive() {
    zip_error_t error;
    zip_error_init(&error);
    source_ = zip_source_buffer_create(nullptr, 0, 0, &error);
    if (source_) zip_ = zip_open_from_source(source_, ZIP_TRUNCATE, &error);
    if (!zip_) throw Error("libzip: {}", zip_error_strerror(&error));
    zip_source_keep(source_);
  }
  Archive(const Archive&) = delete;
  Archive& operator=(const Archive&) = delete;
  ~Archive() {
    if (zip_) zip_discard(zip_);
    zip_source_free(source_);
  }

  void add(const std::string& name, std::string bytes) {
    constexpr zip_uint16_t first_of_1980 = 1 << 5 | 1;  // the earliest date of zip files: equal contents, equal bytes
    contents_.push_back(std::make_unique<std::string>(std::move(bytes)));
    zip_source_t* data = zip_source_buffer(zip_, contents_.back()->data(), contents_.back()->size(), 0);
    const zip_int64_t index = data ? zip_file_add(zip_, (name + ".npy").c_str(), data, ZIP_FL_ENC_UTF_8) : -1;
    if (index < 0) {
      zip_source_free(data);
      fail(name);
    }
    const auto member = static_cast<zip_uint64_t>(index);
    if (zip_set_file_compression(zip_, member, ZIP_CM_STORE, 0) != 0 ||
        zip_file_set_dostime(zip_, member, 0, first_of_1980, 0) != 0) {
      fail(name);
    }
  }

  void write(const std::filesystem::path& file) {
    if (zip_close(zip_) != 0) fail(file.string());
    zip_ = nullptr;
    if (zip_source_open(source_) != 0) throw Error("{}: libzip cannot read what it made", file.string());
    make_folder_of(file);
    write_atomically(file, [&](const ByteSink& sink) {
      std::vector<std::byte> block(std::size_t{1} << 20);
      for (;;) {
        const zip_int64_t count = zip_source_read(source_, block.data(), block.size());
        if (count < 0) throw Error("{}: libzip cannot read what it made", file.string());
        if (count == 0) break;
        sink(std::span(block).first(static_cast<std::size_t>(count)));
      }
    });
    zip_source_close(source_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) { throw Error("libzip: {}: {}", what, zip_strerror(zip_)); }

  zip_source_t* source_ = nullptr;
  zip_t* zip_ = nullptr;
  std::vector<std::unique_ptr<std::string>> contents_;  // libzip reads them when the archive is closed
};

/// Puts the objects of a file into an archive.
class Converter {
 public:
  explicit Converter(const Hdf5Reader& reader) : reader_(reader) {}

  void add_group(const std::string& group, int depth) {
    constexpr int kDeepest = 16;  // a group may be linked into itself
    if (depth > kDeepest) throw Error("{}: {}: groups too deep", reader_.file().string(), group);
    for (const std::string& name : reader_.members(group)) {
      const std::string path = (group == "/" ? "" : group) + "/" + name;
      if (path == "/VTKHDF") continue;
      if (reader_.is_dataset(path)) {
        add_dataset(path);
      } else if (reader_.is_group(path)) {
        for (const std::string& attribute : reader_.attributes(path)) add_attribute(path, attribute);
        add_group(path, depth + 1);
      }
    }
  }

  void write(const std::filesystem::path& file) { archive_.write(file); }
  const std::vector<std::string>& left_out() const { return left_out_; }

 private:
  void add_dataset(const std::string& path) {
    const Shape shape = reader_.shape(path);
    const std::string name = path.substr(1);
    switch (reader_.stored(path)) {
      case Stored::float32: return archive_.add(name, npy("<f4", shape, reader_.read<float>(path)));
      case Stored::float64: return archive_.add(name, npy("<f8", shape, reader_.read<double>(path)));
      case Stored::int64: return archive_.add(name, npy("<i8", shape, reader_.read<std::int64_t>(path)));
      case Stored::uint8: return archive_.add(name, npy("|u1", shape, reader_.read<std::uint8_t>(path)));
      case Stored::text: return archive_.add(name, npy_of_texts(shape, reader_.read_texts(path)));
      case Stored::other:
        left_out_.push_back(fmt::format("{} is left out: its elements are neither numbers nor text", path));
    }
  }

  /// Single values; lists as attributes are not among ours.
  void add_attribute(const std::string& path, const std::string& attribute) {
    const bool is_one = reader_.shape(path, attribute).empty();
    const Stored stored = reader_.stored(path, attribute);
    if (!is_one || stored == Stored::other) {
      left_out_.push_back(fmt::format("{}@{} is left out: {}", path, attribute,
                                      is_one ? "it is neither a number nor text" : "it is more than one value"));
      return;
    }
    const std::string name = path == "/lossatlas" ? attribute : path.substr(1) + "@" + attribute;
    switch (stored) {
      case Stored::text: return archive_.add(name, npy_of_texts({}, {reader_.text_attribute(path, attribute)}));
      case Stored::float32:
      case Stored::float64:
        return archive_.add(name, npy("<f8", {}, std::vector{reader_.number_attribute(path, attribute)}));
      case Stored::int64:
      case Stored::uint8:
        return archive_.add(name, npy("<i8", {}, std::vector{reader_.integer_attribute(path, attribute)}));
      case Stored::other: break;
    }
  }

  const Hdf5Reader& reader_;
  Archive archive_;
  std::vector<std::string> left_out_;
};

}  // namespace

std::vector<std::string> write_npz(const std::filesystem::path& file, const std::filesystem::path& source) {
  const Hdf5Reader reader(source);
  check_format(reader);
  Converter converter(reader);
  converter.add_group("/", 0);
  converter.write(file);
  return converter.left_out();
}

}  // namespace lossatlas
