#include "checkpoint/pickler.h"

#include <algorithm>
#include <bit>
#include <stdexcept>
#include <vector>

#include "base/error.h"

namespace lossatlas::pickle {
namespace {

/// "" for a type that has none.
std::string_view storage_name(c10::ScalarType type) {
  switch (type) {
    case c10::kDouble: return "DoubleStorage";
    case c10::kFloat: return "FloatStorage";
    case c10::kHalf: return "HalfStorage";
    case c10::kBFloat16: return "BFloat16Storage";
    case c10::kLong: return "LongStorage";
    case c10::kInt: return "IntStorage";
    case c10::kShort: return "ShortStorage";
    case c10::kChar: return "CharStorage";
    case c10::kByte: return "ByteStorage";
    case c10::kBool: return "BoolStorage";
    default: return "";
  }
}

/// torch's name of a type without a storage of its own.
std::string_view type_name(c10::ScalarType type) {
  switch (type) {
    case c10::kUInt16: return "uint16";
    case c10::kUInt32: return "uint32";
    case c10::kUInt64: return "uint64";
    case c10::kFloat8_e4m3fn: return "float8_e4m3fn";
    case c10::kFloat8_e4m3fnuz: return "float8_e4m3fnuz";
    case c10::kFloat8_e5m2: return "float8_e5m2";
    case c10::kFloat8_e5m2fnuz: return "float8_e5m2fnuz";
    case c10::kFloat8_e8m0fnu: return "float8_e8m0fnu";
    default: throw Error("tensors of type {} cannot be written", c10::toString(type));
  }
}

std::vector<std::int64_t> contiguous_strides(std::span<const std::int64_t> sizes) {
  std::vector<std::int64_t> strides(sizes.size(), 1);
  for (std::size_t i = sizes.size(); i-- > 1;) {
    strides[i - 1] = strides[i] * std::max<std::int64_t>(sizes[i], 1);
  }
  return strides;
}

}  // namespace

Pickler::Pickler() : bytes_("\x80\x02") {}

void Pickler::begin_dict() { bytes_ += "}("; }

void Pickler::begin_ordered_dict() {
  global("collections", "OrderedDict");
  bytes_ += ")R(";
}

void Pickler::end_dict() { bytes_ += 'u'; }

void Pickler::text(std::string_view text) {
  bytes_ += 'X';
  little_endian(text.size(), 4);
  bytes_ += text;
}

void Pickler::plain(const nlohmann::json& value) {
  using Kind = nlohmann::json::value_t;
  switch (value.type()) {
    case Kind::null: bytes_ += 'N'; return;
    case Kind::boolean: bytes_ += value.get<bool>() ? '\x88' : '\x89'; return;
    case Kind::number_integer: return integer(value.get<std::int64_t>());
    case Kind::number_unsigned: return large_integer(value.get<std::uint64_t>());
    case Kind::number_float: return number(value.get<double>());
    case Kind::string: return text(value.get_ref<const std::string&>());
    case Kind::array:
      bytes_ += "](";
      for (const nlohmann::json& item : value) {
        plain(item);
      }
      bytes_ += 'e';
      return;
    case Kind::object:
      begin_dict();
      for (const auto& [key, item] : value.items()) {
        text(key);
        plain(item);
      }
      return end_dict();
    default: throw std::logic_error("a checkpoint's metadata holds binary values");
  }
}

void Pickler::tensor(std::string_view key, c10::ScalarType type, std::span<const std::int64_t> sizes) {
  std::int64_t count = 1;
  for (const std::int64_t size : sizes) {
    count *= size;
  }
  const std::string_view storage = storage_name(type);
  const bool is_typed = !storage.empty();
  const std::string_view dtype = is_typed ? "" : type_name(type);
  global("torch._utils", is_typed ? "_rebuild_tensor_v2" : "_rebuild_tensor_v3");
  bytes_ += "((";
  text("storage");
  global(is_typed ? "torch" : "torch.storage", is_typed ? storage : "UntypedStorage");
  text(key);
  text("cpu");
  integer(is_typed ? count : count * static_cast<std::int64_t>(c10::elementSize(type)));
  bytes_ += "tQ";
  integer(0);  // offset
  tuple(sizes);
  tuple(contiguous_strides(sizes));
  bytes_ += '\x89';  // requires_grad=False
  global("collections", "OrderedDict");
  bytes_ += ")R";  // no backward hooks
  if (!is_typed) global("torch", dtype);
  bytes_ += "tR";
}

std::string Pickler::finish() {
  bytes_ += '.';
  return std::move(bytes_);
}

void Pickler::integer(std::int64_t value) {
  if (value >= 0 && value <= 0xff) {
    bytes_ += 'K';
    little_endian(static_cast<std::uint64_t>(value), 1);
  } else if (value >= INT32_MIN && value <= INT32_MAX) {
    bytes_ += 'J';
    little_endian(static_cast<std::uint64_t>(value), 4);
  } else {
    bytes_ += "\x8a\x08";
    little_endian(static_cast<std::uint64_t>(value), 8);
  }
}

void Pickler::large_integer(std::uint64_t value) {
  if (value <= INT64_MAX) {
    return integer(static_cast<std::int64_t>(value));
  }
  bytes_ += "\x8a\x09";  // a ninth byte, 0, for the sign
  little_endian(value, 8);
  bytes_ += '\0';
}

void Pickler::number(double value) {
  bytes_ += 'G';
  little_endian(__builtin_bswap64(std::bit_cast<std::uint64_t>(value)), 8);
}

void Pickler::tuple(std::span<const std::int64_t> values) {
  bytes_ += '(';
  for (const std::int64_t value : values) {
    integer(value);
  }
  bytes_ += 't';
}

void Pickler::global(std::string_view module, std::string_view name) {
  bytes_ += 'c';
  bytes_ += module;
  bytes_ += '\n';
  bytes_ += name;
  bytes_ += '\n';
}

void Pickler::little_endian(std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) {
    bytes_ += static_cast<char>(value >> (8 * i) & 0xff);
  }
}

}  // namespace lossatlas::pickle
