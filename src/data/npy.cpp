#include "data/npy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/error.h"

namespace lossatlas {
namespace {

/// How NumPy names a type without its byte order, how a message does, and what it becomes.
struct Type {
  std::string_view code, name;
  std::size_t bytes;
  std::optional<NumberType> becomes;
};

constexpr std::array kNumbers{
    Type{"b1", "bool", 1, NumberType::boolean},    Type{"u1", "uint8", 1, NumberType::uint8},
    Type{"i1", "int8", 1, NumberType::int8},       Type{"u2", "uint16", 2, NumberType::uint16},
    Type{"i2", "int16", 2, NumberType::int16},     Type{"u4", "uint32", 4, NumberType::int64},
    Type{"i4", "int32", 4, NumberType::int32},     Type{"u8", "uint64", 8, NumberType::int64},
    Type{"i8", "int64", 8, NumberType::int64},     Type{"f2", "float16", 2, NumberType::float16},
    Type{"f4", "float32", 4, NumberType::float32}, Type{"f8", "float64", 8, NumberType::float64},
};

/// Without sizes: these are not read.
constexpr std::array kNoNumbers{
    Type{"O", "object", 0, {}},      Type{"U", "text", 0, {}},
    Type{"S", "text", 0, {}},        Type{"V", "void", 0, {}},
    Type{"c", "complex", 0, {}},     Type{"M", "datetime64", 0, {}},
    Type{"m", "timedelta64", 0, {}}, Type{"structured", "structured", 0, {}},
};

/// Null if it has none.
const Type* find_type(std::string_view type) {
  const std::string_view code = type.find_first_of("<>=|") == 0 ? type.substr(1) : type;
  for (const Type& known : kNumbers) {
    if (known.code == code) return &known;
  }
  for (const Type& known : kNoNumbers) {
    if (code.starts_with(known.code)) return &known;
  }
  return nullptr;
}

const Type& type_of(const NpyHeader& header) {
  const Type* type = find_type(header.type);
  if (type && type->becomes) return *type;
  const std::string name = type_name(header.type);
  if (name == "object") throw Error("holds Python objects, which are never run; save it as an array of numbers");
  throw Error("holds {}, not numbers of a type that is read; save it as an integer or a float of 16 to 64 bits", name);
}

/// What follows `'key':` in the dictionary.
std::string_view value_of(std::string_view dictionary, std::string_view key) {
  const std::size_t at = dictionary.find(fmt::format("'{}':", key));
  if (at == dictionary.npos) throw Error("has a damaged header (no {})", key);
  dictionary.remove_prefix(at + key.size() + 3);
  dictionary.remove_prefix(std::min(dictionary.find_first_not_of(' '), dictionary.size()));
  return dictionary;
}

/// "(3, 4)", "(3,)", "()"; of Python 2 also "(3L, 4L)".
std::vector<std::int64_t> shape_of(std::string_view text) {
  const auto fail = [] { return Error("has a damaged header (shape)"); };
  const std::size_t end = text.find(')');
  if (!text.starts_with('(') || end == text.npos) throw fail();
  std::vector<std::int64_t> shape;
  for (text = text.substr(1, end - 1); !text.empty();) {
    if (const char letter = text.front(); letter == ' ' || letter == ',' || letter == 'L') {
      text.remove_prefix(1);
      continue;
    }
    std::int64_t size = 0;
    const auto [rest, failure] = std::from_chars(text.data(), text.data() + text.size(), size);
    if (failure != std::errc{} || size < 0 || shape.size() == 64) throw fail();
    shape.push_back(size);
    text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
  }
  return shape;
}

void swap_bytes(std::byte* numbers, std::size_t count, std::size_t size) {
  for (std::byte* number = numbers; number < numbers + count * size; number += size)
    std::reverse(number, number + size);
}

/// In the order of C and of the processor.
Array copy_of(const Array& array, bool is_fortran, bool is_big) {
  const auto& shape = array.shape();
  std::vector<std::int64_t> strides(shape.size(), 1);
  for (std::size_t k = 1; k < shape.size(); ++k) {
    const std::size_t axis = is_fortran ? k : shape.size() - 1 - k, before = is_fortran ? axis - 1 : axis + 1;
    strides[axis] = strides[before] * shape[before];
  }
  Array copy = gathered(array.type(), array.bytes().data(), shape, strides);
  auto* bytes = const_cast<std::byte*>(copy.bytes().data());  // nobody else has it yet
  if (is_big) swap_bytes(bytes, copy.size(), bytes_of(copy.type()));
  return copy;
}

/// Of uint32, which it holds as int32.
Array widened(const Array& copy) {
  const auto numbers = copy.numbers<std::int32_t>();
  std::vector<std::int64_t> wide(numbers.size());
  std::transform(numbers.begin(), numbers.end(), wide.begin(),
                 [](std::int32_t x) { return static_cast<std::uint32_t>(x); });
  return {copy.shape(), std::move(wide)};
}

/// Of uint64, which it holds as int64.
void check_range(const Array& array) {
  const auto numbers = array.numbers<std::int64_t>();
  const auto large = std::find_if(numbers.begin(), numbers.end(), [](std::int64_t x) { return x < 0; });
  if (large != numbers.end()) throw Error("holds {}, which does not fit in int64", static_cast<std::uint64_t>(*large));
}

}  // namespace

NpyHeader read_npy_header(std::span<const std::byte> bytes) {
  constexpr std::string_view kMagic = "\x93NUMPY";
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(kMagic) || text.size() < 12) throw Error("is not an .npy file, as numpy.save writes");
  const int version = text[6];
  if (version < 1 || version > 3) throw Error("is of .npy format {}; 1 to 3 are read", version);
  NpyHeader header;
  const std::size_t length_size = version == 1 ? 2 : 4;
  for (std::size_t i = length_size; i-- > 0;) {
    header.size = header.size << 8 | static_cast<unsigned char>(text[8 + i]);
  }
  const std::string_view dictionary = text.substr(8 + length_size).substr(0, header.size);
  if (dictionary.size() != header.size) throw Error("has a header of {} bytes: damaged or cut off", header.size);
  header.size += 8 + length_size;
  const std::string_view type = value_of(dictionary, "descr");
  if (type.starts_with('\'')) {
    header.type = type.substr(1, type.find('\'', 1) - 1);
  } else {
    header.type = "structured";
  }
  header.is_fortran = value_of(dictionary, "fortran_order").starts_with("True");
  header.shape = shape_of(value_of(dictionary, "shape"));
  return header;
}

std::string type_name(const std::string& type) {
  if (const Type* known = find_type(type)) return std::string(known->name);
  std::string printable = type.substr(0, 20);
  std::replace_if(
      printable.begin(), printable.end(), [](char letter) { return letter < ' ' || letter > '~'; }, '?');
  return fmt::format("type '{}'", printable);
}

std::uint64_t numbers_size(const NpyHeader& header) {
  std::int64_t bytes = static_cast<std::int64_t>(type_of(header).bytes);
  for (const std::int64_t size : header.shape) {
    const std::int64_t factor = std::max<std::int64_t>(size, 1);  // no part of it may be too large either
    if (__builtin_mul_overflow(bytes, factor, &bytes)) throw Error("has a damaged header (shape)");
  }
  const bool is_empty = std::find(header.shape.begin(), header.shape.end(), 0) != header.shape.end();
  return is_empty ? 0 : static_cast<std::uint64_t>(bytes);
}

Array npy_array(const NpyHeader& header, std::shared_ptr<const void> numbers) {
  const Type& type = type_of(header);
  const std::vector<std::int64_t> shape = header.shape.empty() ? std::vector<std::int64_t>{1} : header.shape;
  const bool is_big = header.type.starts_with('>') && type.bytes > 1;
  const bool is_fortran = header.is_fortran && shape.size() > 1;
  const bool is_uint32 = type.code == "u4";
  const bool is_aligned = reinterpret_cast<std::uintptr_t>(numbers.get()) % type.bytes == 0;
  Array array(is_uint32 ? NumberType::int32 : *type.becomes, shape, numbers);
  if (is_big || is_fortran || !is_aligned) array = copy_of(array, is_fortran, is_big);
  if (type.code == "u8") check_range(array);
  return is_uint32 ? widened(array) : array;
}

}  // namespace lossatlas
