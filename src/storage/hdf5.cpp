#include "storage/hdf5.h"

#include <hdf5.h>
#include <hdf5_hl.h>

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "storage/global_heaps.h"

namespace lossatlas {
namespace {

/// The innermost message of HDF5's error stack.
std::string library_message() {
  std::string message;
  H5Ewalk2(
      H5E_DEFAULT, H5E_WALK_UPWARD,
      [](unsigned, const H5E_error2_t* error, void* text) -> herr_t {
        if (static_cast<std::string*>(text)->empty() && error->desc) *static_cast<std::string*>(text) = error->desc;
        return 0;
      },
      &message);
  return message.empty() ? "unknown error" : message;
}

/// One checked result of the C library.
template <class T>
T checked(T result, const std::string& what) {
  if (result < 0) throw Error("HDF5: {}: {}", what, library_message());
  return result;
}

/// For the C library's iterations: the name of each member or attribute, into a list.
template <class Info>
herr_t append_name(hid_t, const char* name, const Info*, void* list) {
  static_cast<std::vector<std::string>*>(list)->emplace_back(name);
  return 0;
}

/// Owns an identifier of the C library.
class Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Handle(hid_t id, Close close, const std::string& what) : id_(checked(id, what)), close_(close) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  Handle& operator=(Handle&&) = delete;
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  operator hid_t() const { return id_; }

 private:
  hid_t id_;
  Close close_;
};

/// No messages of the library's own, and no links out of the file: ours has none, and a stranger's may name anything.
void prepare_library() {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  if (H5Lis_registered(H5L_TYPE_EXTERNAL) > 0) H5Lunregister(H5L_TYPE_EXTERNAL);
}

template <class T>
hid_t type_of();
template <>
hid_t type_of<double>() {
  return H5T_NATIVE_DOUBLE;
}
template <>
hid_t type_of<float>() {
  return H5T_NATIVE_FLOAT;
}
template <>
hid_t type_of<std::int64_t>() {
  return H5T_NATIVE_INT64;
}
template <>
hid_t type_of<std::uint8_t>() {
  return H5T_NATIVE_UINT8;
}

Handle text_type(std::size_t size, H5T_cset_t characters) {
  Handle type(H5Tcopy(H5T_C_S1), H5Tclose, "text type");
  checked(H5Tset_size(type, size), "text type");
  checked(H5Tset_cset(type, characters), "text type");
  return type;
}

Stored kind_of_values(hid_t type) {
  const std::size_t size = H5Tget_size(type);
  switch (H5Tget_class(type)) {
    case H5T_FLOAT: return size == 4 ? Stored::float32 : Stored::float64;
    case H5T_INTEGER: return size == 1 && H5Tget_sign(type) == H5T_SGN_NONE ? Stored::uint8 : Stored::int64;
    case H5T_STRING: return Stored::text;
    default: return Stored::other;
  }
}

/// A copy of the type in little-endian order, the processor's.
Handle little_endian(hid_t type) {
  Handle copy(H5Tcopy(type), H5Tclose, "type");
  if (H5Tget_class(type) != H5T_ENUM) checked(H5Tset_order(copy, H5T_ORDER_LE), "type");
  return copy;
}

/// IEEE 754 binary16, which HDF5 has no name for.
bool is_float16(hid_t type) {
  std::size_t sign = 0, exponent = 0, exponent_bits = 0, fraction = 0, fraction_bits = 0;
  return H5Tget_size(type) == 2 && H5Tget_precision(type) == 16 && H5Tget_ebias(type) == 15 &&
         H5Tget_fields(type, &sign, &exponent, &exponent_bits, &fraction, &fraction_bits) >= 0 && sign == 15 &&
         exponent == 10 && exponent_bits == 5 && fraction == 0 && fraction_bits == 10;
}

bool is_boolean(hid_t type) {
  std::int8_t no = -1, yes = -1;
  return H5Tget_size(type) == 1 && H5Tget_nmembers(type) == 2 && H5Tenum_valueof(type, "FALSE", &no) >= 0 &&
         H5Tenum_valueof(type, "TRUE", &yes) >= 0 && no == 0 && yes == 1;
}

std::optional<NumberFormat> format_of(hid_t type) {
  const std::size_t size = H5Tget_size(type);
  const H5T_class_t kind = H5Tget_class(type);
  if (kind == H5T_ENUM) return is_boolean(type) ? std::optional(NumberFormat{'b', 1}) : std::nullopt;
  if (kind != H5T_INTEGER && kind != H5T_FLOAT) return std::nullopt;
  const Handle copy = little_endian(type);
  if (kind == H5T_FLOAT) {
    const bool is_ieee = is_float16(copy) || H5Tequal(copy, H5T_IEEE_F32LE) > 0 || H5Tequal(copy, H5T_IEEE_F64LE) > 0;
    return is_ieee ? std::optional(NumberFormat{'f', size}) : std::nullopt;
  }
  for (const hid_t known : {H5T_STD_U8LE, H5T_STD_U16LE, H5T_STD_U32LE, H5T_STD_U64LE}) {
    if (H5Tequal(copy, known) > 0) return NumberFormat{'u', size};
  }
  for (const hid_t known : {H5T_STD_I8LE, H5T_STD_I16LE, H5T_STD_I32LE, H5T_STD_I64LE}) {
    if (H5Tequal(copy, known) > 0) return NumberFormat{'i', size};
  }
  return std::nullopt;
}

Handle space_of(const Shape& shape) {
  if (shape.empty()) return Handle(H5Screate(H5S_SCALAR), H5Sclose, "space");
  const std::vector<hsize_t> sizes(shape.begin(), shape.end());
  return Handle(H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr), H5Sclose, "space");
}

Shape shape_of(hid_t space, const std::string& what) {
  std::vector<hsize_t> sizes(static_cast<std::size_t>(checked(H5Sget_simple_extent_ndims(space), what)));
  if (!sizes.empty()) checked(H5Sget_simple_extent_dims(space, sizes.data(), nullptr), what);
  return Shape(sizes.begin(), sizes.end());
}

std::size_t product(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::size_t{1}, std::multiplies<>());
}

constexpr std::uint64_t kHarmless = std::uint64_t{1} << 24;  // bytes: a grid of two million points
constexpr std::uint64_t kMostCompressed = 1032;              // bytes that deflate makes of one, at most

/// A file in memory with nothing behind it. Times are not kept: equal contents give equal bytes.
hid_t create_in_memory() {
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "create");
  checked(H5Pset_fapl_core(access, std::size_t{1} << 20, false), "create");
  return H5Fcreate("memory", H5F_ACC_TRUNC, H5P_DEFAULT, access);
}

}  // namespace

struct Hdf5Writer::Impl {
  Handle file{create_in_memory(), H5Fclose, "create"};

  Handle link_options() const {
    Handle options(H5Pcreate(H5P_LINK_CREATE), H5Pclose, "link");
    checked(H5Pset_create_intermediate_group(options, 1), "link");
    return options;
  }

  Handle create_dataset(const std::string& path, hid_t type, const Shape& shape) const {
    const Handle options(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, path);
    checked(H5Pset_obj_track_times(options, false), path);
    return Handle(H5Dcreate2(file, path.c_str(), type, space_of(shape), link_options(), options, H5P_DEFAULT), H5Dclose,
                  path);
  }

  void write_attribute(const std::string& path, const std::string& name, hid_t type, const Shape& shape,
                       const void* values) const {
    const Handle object(H5Oopen(file, path.c_str(), H5P_DEFAULT), H5Oclose, path);
    const Handle made(H5Acreate2(object, name.c_str(), type, space_of(shape), H5P_DEFAULT, H5P_DEFAULT), H5Aclose,
                      path + "@" + name);
    checked(H5Awrite(made, type, values), path + "@" + name);
  }
};

Hdf5Writer::Hdf5Writer() {
  prepare_library();
  impl_ = std::make_unique<Impl>();
}
Hdf5Writer::~Hdf5Writer() = default;

template <class T>
void Hdf5Writer::write(const std::string& path, std::span<const T> values, const Shape& shape) {
  if (values.size() != product(shape)) throw std::logic_error("Hdf5Writer: size and shape differ: " + path);
  const Handle dataset = impl_->create_dataset(path, type_of<T>(), shape);
  checked(H5Dwrite(dataset, type_of<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), path);
}
template void Hdf5Writer::write(const std::string&, std::span<const double>, const Shape&);
template void Hdf5Writer::write(const std::string&, std::span<const float>, const Shape&);
template void Hdf5Writer::write(const std::string&, std::span<const std::int64_t>, const Shape&);
template void Hdf5Writer::write(const std::string&, std::span<const std::uint8_t>, const Shape&);

void Hdf5Writer::write_text(const std::string& path, std::string_view text) {
  const Handle type = text_type(H5T_VARIABLE, H5T_CSET_UTF8);
  const std::string copy(text);
  const char* data = copy.c_str();
  checked(H5Dwrite(impl_->create_dataset(path, type, {}), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, &data), path);
}

void Hdf5Writer::write_texts(const std::string& path, const std::vector<std::string>& texts) {
  const Handle type = text_type(H5T_VARIABLE, H5T_CSET_UTF8);
  std::vector<const char*> data;
  for (const std::string& text : texts) data.push_back(text.c_str());
  const Handle dataset = impl_->create_dataset(path, type, {texts.size()});
  checked(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data.data()), path);
}

void Hdf5Writer::attribute(const std::string& path, const std::string& name, std::string_view text) {
  const std::string copy(text);
  const char* data = copy.c_str();
  impl_->write_attribute(path, name, text_type(H5T_VARIABLE, H5T_CSET_UTF8), {}, &data);
}

template <class T>
void Hdf5Writer::attribute(const std::string& path, const std::string& name, std::span<const T> values) {
  const Shape shape = values.size() == 1 ? Shape{} : Shape{values.size()};
  impl_->write_attribute(path, name, type_of<T>(), shape, values.data());
}
template void Hdf5Writer::attribute(const std::string&, const std::string&, std::span<const double>);
template void Hdf5Writer::attribute(const std::string&, const std::string&, std::span<const std::int64_t>);

void Hdf5Writer::ascii_attribute(const std::string& path, const std::string& name, std::string_view text) {
  const std::string copy(text);
  impl_->write_attribute(path, name, text_type(copy.size(), H5T_CSET_ASCII), {}, copy.data());
}

void Hdf5Writer::make_group(const std::string& path) {
  const Handle group(H5Gcreate2(impl_->file, path.c_str(), impl_->link_options(), H5P_DEFAULT, H5P_DEFAULT), H5Gclose,
                     path);
}

void Hdf5Writer::hard_link(const std::string& existing, const std::string& path) {
  checked(H5Lcreate_hard(impl_->file, existing.c_str(), impl_->file, path.c_str(), impl_->link_options(), H5P_DEFAULT),
          path);
}

void Hdf5Writer::attach_scale(const std::string& dataset, unsigned axis, const std::string& scale) {
  const Handle target(H5Dopen2(impl_->file, dataset.c_str(), H5P_DEFAULT), H5Dclose, dataset);
  const Handle source(H5Dopen2(impl_->file, scale.c_str(), H5P_DEFAULT), H5Dclose, scale);
  if (H5DSis_scale(source) == 0) checked(H5DSset_scale(source, scale.c_str() + scale.rfind('/') + 1), scale);
  checked(H5DSattach_scale(target, source, axis), dataset);
}

void Hdf5Writer::save(const std::filesystem::path& file) {
  checked(H5Fflush(impl_->file, H5F_SCOPE_GLOBAL), "flush");
  const ssize_t size = checked(H5Fget_file_image(impl_->file, nullptr, 0), "image");
  std::vector<std::byte> image(static_cast<std::size_t>(size));
  checked(H5Fget_file_image(impl_->file, image.data(), image.size()), "image");
  write_atomically(file, [&](const ByteSink& sink) { sink(image); });
}

struct Hdf5Reader::Impl {
  std::filesystem::path path;
  Handle file;

  explicit Impl(const std::filesystem::path& name, std::span<const std::byte> bytes = {})
      : path(name), file(open(name, bytes)) {
    const Handle options(H5Fget_create_plist(file), H5Pclose, name.string());
    std::size_t address = 0, length = 0;
    checked(H5Pget_sizes(options, &address, &length), name.string());
    if (length != 8) throw Error("{}: damaged, or of a rare kind (lengths of {} bytes)", name.string(), length);
    check_global_heaps(name);
  }

  static Handle open(const std::filesystem::path& name, std::span<const std::byte> bytes) {
    const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, name.string());
#if H5_VERSION_GE(1, 12, 1) || (H5_VERSION_GE(1, 10, 7) && !H5_VERSION_GE(1, 12, 0))
    checked(H5Pset_file_locking(access, false, true), name.string());
#endif
    if (!is_hdf5(name)) throw Error("{}: not an HDF5 file", name.string());
    if (!bytes.empty()) {
      checked(H5Pset_fapl_core(access, std::size_t{1} << 20, false), name.string());
      checked(H5Pset_file_image(access, const_cast<std::byte*>(bytes.data()), bytes.size()), name.string());  // copied
    }
    const auto opened = bytes.empty() ? name : name / "in memory";  // no file's name, or the library would refuse it
    const hid_t id = H5Fopen(opened.c_str(), H5F_ACC_RDONLY, access);
    if (id < 0) throw Error("{}: damaged, HDF5 cannot open it ({})", name.string(), library_message());
    return Handle(id, H5Fclose, name.string());
  }

  std::string where(const std::string& object) const { return path.string() + ": " + object; }

  /// A header may claim any size. More than kHarmless bytes must stand in the file, as they are or compressed, before
  /// memory is taken for them.
  void check_size(hid_t opened, hid_t stored, const Shape& shape, const std::string& name) const {
    const Handle options(H5Dget_create_plist(opened), H5Pclose, where(name));
    if (H5Pget_external_count(options) != 0 || H5Pget_layout(options) == H5D_VIRTUAL) {
      throw Error("{}: its values are in another file", where(name));
    }
    const auto in_file = std::min<std::uint64_t>(H5Dget_storage_size(opened), std::filesystem::file_size(path));
    const std::uint64_t most = in_file * (H5Pget_nfilters(options) > 0 ? kMostCompressed : 1);
    std::uint64_t bytes = H5Tget_size(stored);
    for (const std::size_t size : shape) {
      if (__builtin_mul_overflow(bytes, size, &bytes)) bytes = UINT64_MAX;
    }
    if (bytes > std::max(most, kHarmless)) {
      throw Error("{}: its [{}] values are more than the file holds: it is damaged", where(name),
                  fmt::join(shape, ", "));
    }
  }

  /// All values of a dataset into `out`. Throws Error, which names the filter if they need one that is not here.
  void read_all(hid_t opened, hid_t type, void* out, const std::string& name) const {
    if (H5Dread(opened, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out) >= 0) return;
    const std::string reason = library_message();  // the next call forgets it
    check_filters(opened, name);
    throw Error("HDF5: {}: {}", where(name), reason);
  }

  void check_filters(hid_t opened, const std::string& name) const {
    const Handle options(H5Dget_create_plist(opened), H5Pclose, where(name));
    for (int i = 0; i < H5Pget_nfilters(options); ++i) {
      unsigned flags = 0, configuration = 0;
      std::size_t values = 0;
      std::array<char, 64> text{};
      const H5Z_filter_t id = H5Pget_filter2(options, static_cast<unsigned>(i), &flags, &values, nullptr,
                                             text.size() - 1, text.data(), &configuration);
      if (id < 0 || H5Zfilter_avail(id) > 0) continue;
      std::string filter = text.data();
      std::erase_if(filter, [](char letter) { return letter < ' ' || letter > '~'; });
      throw Error(
          "{}: stored with the HDF5 filter {}{}{}, which is not read; write it again with gzip or no compression",
          where(name), id, filter.empty() ? "" : ", ", filter);
    }
  }

  /// Throws Error unless the space is that of one value.
  void check_single(hid_t space, const std::string& what) const {
    if (H5Sget_simple_extent_npoints(space) != 1) throw Error("{}: not a single value", where(what));
  }

  /// H5I_BADID where nothing can be opened.
  H5I_type_t kind_of(const std::string& name) const {
    const hid_t object = H5Oopen(file, name.c_str(), H5P_DEFAULT);
    if (object < 0) return H5I_BADID;
    const Handle owned(object, H5Oclose, name);
    return H5Iget_type(object);
  }

  Handle dataset(const std::string& name) const {
    return Handle(H5Dopen2(file, name.c_str(), H5P_DEFAULT), H5Dclose, where(name));
  }

  Handle attribute(const std::string& object, const std::string& name) const {
    return Handle(H5Aopen_by_name(file, object.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose,
                  where(object + "@" + name));
  }

  /// The one number of an attribute.
  template <class T>
  T single(const std::string& object, const std::string& name) const {
    const std::string what = object + "@" + name;
    const Handle opened = attribute(object, name);
    check_single(Handle(H5Aget_space(opened), H5Sclose, where(what)), what);
    T value = 0;
    checked(H5Aread(opened, type_of<T>(), &value), where(what));
    return value;
  }

  /// Reads one string, fixed or variable in length, through `read(memory type, buffer)`.
  std::string text(hid_t stored, hid_t space, const std::function<herr_t(hid_t, void*)>& read,
                   const std::string& what) const {
    if (H5Tget_class(stored) != H5T_STRING) throw Error("{}: not text", where(what));
    check_single(space, what);
    if (checked(H5Tis_variable_str(stored), where(what)) > 0) {
      char* data = nullptr;
      checked(read(stored, &data), where(what));
      std::string result = data ? data : "";
      H5free_memory(data);
      return result;
    }
    if (H5Tget_size(stored) > std::filesystem::file_size(path)) throw Error("{}: longer than the file", where(what));
    std::string result(H5Tget_size(stored), '\0');
    checked(read(stored, result.data()), where(what));
    return result.substr(0, result.find('\0'));
  }
};

Hdf5Reader::Hdf5Reader(const std::filesystem::path& file) : Hdf5Reader(file, {}) {}

Hdf5Reader::Hdf5Reader(const std::filesystem::path& file, std::span<const std::byte> bytes) {
  prepare_library();
  std::error_code code;
  const auto status = std::filesystem::status(file, code);
  if (status.type() == std::filesystem::file_type::not_found) throw Error("{}: no such file", file.string());
  if (const auto kind = kind_of(file); !kind.empty()) {
    throw Error("{}: {}, not a file{}", file.string(), kind,
                kind == "a folder" ? "" : "; HDF5 is read at any place, so copy it to a file first");
  }
  impl_ = std::make_unique<Impl>(file, bytes);
}
Hdf5Reader::~Hdf5Reader() = default;
Hdf5Reader::Hdf5Reader(Hdf5Reader&&) noexcept = default;

const std::filesystem::path& Hdf5Reader::file() const { return impl_->path; }

bool Hdf5Reader::is_hdf5(const std::filesystem::path& file) {
  prepare_library();
  return kind_of(file).empty() && H5Fis_hdf5(file.c_str()) > 0;  // opening a pipe would wait for a writer
}

bool Hdf5Reader::has(const std::string& path) const {
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    if (H5Lexists(impl_->file, path.substr(0, end).c_str(), H5P_DEFAULT) <= 0) return false;
    if (end == std::string::npos) return true;
  }
}

bool Hdf5Reader::has_attribute(const std::string& path, const std::string& name) const {
  return H5Aexists_by_name(impl_->file, path.c_str(), name.c_str(), H5P_DEFAULT) > 0;
}

bool Hdf5Reader::is_dataset(const std::string& path) const { return impl_->kind_of(path) == H5I_DATASET; }

bool Hdf5Reader::is_group(const std::string& path) const { return impl_->kind_of(path) == H5I_GROUP; }

std::vector<std::string> Hdf5Reader::members(const std::string& group) const {
  const Handle opened(H5Gopen2(impl_->file, group.c_str(), H5P_DEFAULT), H5Gclose, impl_->where(group));
  std::vector<std::string> names;
  checked(H5Literate(opened, H5_INDEX_NAME, H5_ITER_INC, nullptr, append_name<H5L_info_t>, &names),
          impl_->where(group));
  return names;
}

std::vector<std::string> Hdf5Reader::attributes(const std::string& path) const {
  const Handle opened(H5Oopen(impl_->file, path.c_str(), H5P_DEFAULT), H5Oclose, impl_->where(path));
  std::vector<std::string> names;
  checked(H5Aiterate2(opened, H5_INDEX_NAME, H5_ITER_INC, nullptr, append_name<H5A_info_t>, &names),
          impl_->where(path));
  return names;
}

Stored Hdf5Reader::stored(const std::string& dataset) const {
  return kind_of_values(Handle(H5Dget_type(impl_->dataset(dataset)), H5Tclose, impl_->where(dataset)));
}

Stored Hdf5Reader::stored(const std::string& path, const std::string& attribute) const {
  return kind_of_values(Handle(H5Aget_type(impl_->attribute(path, attribute)), H5Tclose, impl_->where(path)));
}

Shape Hdf5Reader::shape(const std::string& dataset) const {
  return shape_of(Handle(H5Dget_space(impl_->dataset(dataset)), H5Sclose, impl_->where(dataset)),
                  impl_->where(dataset));
}

Shape Hdf5Reader::shape(const std::string& path, const std::string& attribute) const {
  return shape_of(Handle(H5Aget_space(impl_->attribute(path, attribute)), H5Sclose, impl_->where(path)),
                  impl_->where(path));
}

template <class T>
std::vector<T> Hdf5Reader::read(const std::string& dataset) const {
  const Handle opened = impl_->dataset(dataset);
  const Handle stored(H5Dget_type(opened), H5Tclose, impl_->where(dataset));
  const auto kind = H5Tget_class(stored);
  if (kind != H5T_FLOAT && kind != H5T_INTEGER) throw Error("{}: not numbers", impl_->where(dataset));
  const Shape sizes = shape(dataset);
  impl_->check_size(opened, stored, sizes, dataset);
  std::vector<T> values(product(sizes));
  impl_->read_all(opened, type_of<T>(), values.data(), dataset);
  return values;
}
template std::vector<double> Hdf5Reader::read(const std::string&) const;
template std::vector<float> Hdf5Reader::read(const std::string&) const;
template std::vector<std::int64_t> Hdf5Reader::read(const std::string&) const;
template std::vector<std::uint8_t> Hdf5Reader::read(const std::string&) const;

std::optional<NumberFormat> Hdf5Reader::number_format(const std::string& dataset) const {
  return format_of(Handle(H5Dget_type(impl_->dataset(dataset)), H5Tclose, impl_->where(dataset)));
}

std::unique_ptr<std::byte[]> Hdf5Reader::read_as_stored(const std::string& dataset) const {
  const Handle opened = impl_->dataset(dataset);
  const Handle stored(H5Dget_type(opened), H5Tclose, impl_->where(dataset));
  if (!format_of(stored)) throw Error("{}: not numbers", impl_->where(dataset));
  const Shape sizes = shape(dataset);
  impl_->check_size(opened, stored, sizes, dataset);
  std::unique_ptr<std::byte[]> numbers(new std::byte[product(sizes) * H5Tget_size(stored)]);
  impl_->read_all(opened, little_endian(stored), numbers.get(), dataset);
  return numbers;
}

std::string Hdf5Reader::read_text(const std::string& dataset) const {
  const Handle opened = impl_->dataset(dataset);
  const Handle stored(H5Dget_type(opened), H5Tclose, impl_->where(dataset));
  const Handle space(H5Dget_space(opened), H5Sclose, impl_->where(dataset));
  return impl_->text(
      stored, space, [&](hid_t type, void* out) { return H5Dread(opened, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out); },
      dataset);
}

std::vector<std::string> Hdf5Reader::read_texts(const std::string& dataset) const {
  const Handle opened = impl_->dataset(dataset);
  const Handle stored(H5Dget_type(opened), H5Tclose, impl_->where(dataset));
  if (H5Tget_class(stored) != H5T_STRING) throw Error("{}: not text", impl_->where(dataset));
  const Shape sizes = shape(dataset);
  impl_->check_size(opened, stored, sizes, dataset);
  std::vector<std::string> texts(product(sizes));
  if (H5Tis_variable_str(stored) > 0) {
    std::vector<char*> data(texts.size(), nullptr);
    impl_->read_all(opened, stored, data.data(), dataset);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      if (data[i]) texts[i] = data[i];
      H5free_memory(data[i]);
    }
  } else {
    const std::size_t length = H5Tget_size(stored);
    std::string data(texts.size() * length, '\0');
    impl_->read_all(opened, stored, data.data(), dataset);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      texts[i] = data.substr(i * length, length);
      texts[i].resize(std::min(texts[i].find('\0'), length));
    }
  }
  return texts;
}

std::string Hdf5Reader::text_attribute(const std::string& path, const std::string& name) const {
  const Handle opened = impl_->attribute(path, name);
  const Handle stored(H5Aget_type(opened), H5Tclose, impl_->where(path));
  const Handle space(H5Aget_space(opened), H5Sclose, impl_->where(path));
  return impl_->text(
      stored, space, [&](hid_t type, void* out) { return H5Aread(opened, type, out); }, path + "@" + name);
}

std::int64_t Hdf5Reader::integer_attribute(const std::string& path, const std::string& name) const {
  return impl_->single<std::int64_t>(path, name);
}

double Hdf5Reader::number_attribute(const std::string& path, const std::string& name) const {
  return impl_->single<double>(path, name);
}

}  // namespace lossatlas
