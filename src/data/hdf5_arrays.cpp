#include "data/hdf5_arrays.h"

#include <memory>
#include <new>

#include "base/error.h"
#include "data/npy.h"

namespace lossatlas {
namespace {

/// As NumPy writes it: "<f4"; "" for what is not numbers.
std::string type_of(const Hdf5Reader& reader, const std::string& dataset) {
  const auto format = reader.number_format(dataset);
  return format ? fmt::format("<{}{}", format->kind, format->bytes) : "";
}

}  // namespace

Hdf5Arrays::Hdf5Arrays(const std::filesystem::path& file) : ArrayFile(file), reader_(file) {
  for (const std::string& name : reader_.members("/")) {
    if (!reader_.is_dataset(name)) continue;
    const Shape shape = reader_.shape(name);
    const std::string type = type_of(reader_, name);
    const std::string other = reader_.stored(name) == Stored::text ? "text" : "other";
    entries_.push_back({name, type.empty() ? other : type_name(type), {shape.begin(), shape.end()}});
  }
}

Array Hdf5Arrays::read(const Entry& entry) const {
  NpyHeader header{.type = type_of(reader_, entry.name), .shape = entry.shape};
  if (header.type.empty()) {
    throw Error(
        "{}: {}: holds {}, not numbers of a type that is read; save it as an integer or a float of 16 to 64 bits",
        file_.string(), entry.name, entry.type == "text" ? "text" : "another type");
  }
  numbers_size(header);  // what it announces is possible
  try {
    const std::shared_ptr<std::byte[]> numbers = reader_.read_as_stored(entry.name);
    return npy_array(header, numbers);
  } catch (const std::bad_alloc&) {
    throw Error("{}: {}: is larger than the memory", file_.string(), entry.name);
  }
}

}  // namespace lossatlas
