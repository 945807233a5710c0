#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lossatlas {

/// The first bytes of every HDF5 file.
inline constexpr std::string_view kHdf5Begin = "\x89HDF\r\n\x1a\n";

using Shape = std::vector<std::size_t>;

/// What a dataset or an attribute holds. Floats of other sizes count as float64, whole numbers as int64.
enum class Stored { float32, float64, int64, uint8, text, other };

/// A type of numbers: 'b' bool (h5py's enumeration of FALSE and TRUE), 'i' and 'u' whole numbers, 'f' IEEE floats.
struct NumberFormat {
  char kind = 0;
  std::size_t bytes = 0;  // 1, 2, 4 or 8
};

/// Builds an HDF5 file in memory; save() puts it on the disk whole or not at all, so that no reader ever sees half a
/// file, a full disk harms nothing, and HDF5's file locks are never used. Paths are absolute ("/lossatlas/evaluated");
/// missing groups are made. Errors of the library are thrown as Error.
class Hdf5Writer {
 public:
  Hdf5Writer();
  ~Hdf5Writer();
  Hdf5Writer(const Hdf5Writer&) = delete;
  Hdf5Writer& operator=(const Hdf5Writer&) = delete;

  /// T: double, float, std::int64_t, std::uint8_t. values.size() is the product of the shape; {} makes a scalar.
  template <class T>
  void write(const std::string& path, std::span<const T> values, const Shape& shape);
  void write_text(const std::string& path, std::string_view text);
  /// A list of texts, [texts.size()].
  void write_texts(const std::string& path, const std::vector<std::string>& texts);

  /// Attributes of the object at `path` ("/" for the root). Text is variable-length UTF-8.
  void attribute(const std::string& path, const std::string& name, std::string_view text);
  template <class T>
  void attribute(const std::string& path, const std::string& name, std::span<const T> values);
  /// Fixed-length ASCII text, as VTK asks for.
  void ascii_attribute(const std::string& path, const std::string& name, std::string_view text);

  void make_group(const std::string& path);
  void hard_link(const std::string& existing, const std::string& path);
  /// Makes the one-dimensional dataset `scale` a dimension scale and attaches it to an axis of `dataset`.
  void attach_scale(const std::string& dataset, unsigned axis, const std::string& scale);

  void save(const std::filesystem::path& file);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Reads an HDF5 file, without locking it. Throws Error naming the file.
class Hdf5Reader {
 public:
  explicit Hdf5Reader(const std::filesystem::path& file);
  /// Reads these bytes of the file, whatever became of it since.
  Hdf5Reader(const std::filesystem::path& file, std::span<const std::byte> bytes);
  ~Hdf5Reader();
  Hdf5Reader(Hdf5Reader&&) noexcept;
  Hdf5Reader(const Hdf5Reader&) = delete;
  Hdf5Reader& operator=(const Hdf5Reader&) = delete;

  static bool is_hdf5(const std::filesystem::path& file);

  bool has(const std::string& path) const;
  bool has_attribute(const std::string& path, const std::string& name) const;
  bool is_dataset(const std::string& path) const;
  bool is_group(const std::string& path) const;
  /// Names in a group, in alphabetical order.
  std::vector<std::string> members(const std::string& group) const;
  /// Names of an object's attributes, in alphabetical order.
  std::vector<std::string> attributes(const std::string& path) const;
  Shape shape(const std::string& dataset) const;
  Shape shape(const std::string& path, const std::string& attribute) const;
  Stored stored(const std::string& dataset) const;
  Stored stored(const std::string& path, const std::string& attribute) const;

  /// Numbers of any stored type, converted to T: double, float, std::int64_t, std::uint8_t.
  template <class T>
  std::vector<T> read(const std::string& dataset) const;
  /// Nothing for what is not numbers of these types.
  std::optional<NumberFormat> number_format(const std::string& dataset) const;
  /// Numbers in the type that they are stored in, which has a number_format, in the processor's byte order.
  std::unique_ptr<std::byte[]> read_as_stored(const std::string& dataset) const;
  std::string read_text(const std::string& dataset) const;
  /// All strings of a dataset, in the order of its rows.
  std::vector<std::string> read_texts(const std::string& dataset) const;
  std::string text_attribute(const std::string& path, const std::string& name) const;
  std::int64_t integer_attribute(const std::string& path, const std::string& name) const;
  double number_attribute(const std::string& path, const std::string& name) const;

  const std::filesystem::path& file() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lossatlas
