#include "pickle/numpy_scalar.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "pickle/printable.h"

namespace lossatlas::pickle {
namespace {

[[noreturn]] void unsuited() { throw Error("the pickle is damaged: a NumPy scalar has unsuitable arguments"); }

/// The bytes of a str of Python 2 or a bytes of Python 3.
const std::string& bytes_of(const Value& value) {
  if (const Bytes* bytes = value.as<Bytes>()) {
    return bytes->bytes;
  }
  if (const Text* text = value.as<Text>()) {
    return text->text;
  }
  unsuited();
}

double float_of(std::uint64_t bits, std::int64_t size) {
  return size == 8 ? std::bit_cast<double>(bits) : double{std::bit_cast<float>(static_cast<std::uint32_t>(bits))};
}

/// The lowest `size` bytes of `bits`, read as two's complement.
std::int64_t sign_extended(std::uint64_t bits, std::int64_t size) {
  const auto unused = static_cast<unsigned>(64 - 8 * size);
  return static_cast<std::int64_t>(bits << unused) >> unused;
}

bool is_supported(char kind, std::int64_t size) {
  const bool integer_size = size == 1 || size == 2 || size == 4 || size == 8;
  return (kind == 'f' && (size == 4 || size == 8)) || ((kind == 'i' || kind == 'u') && integer_size) ||
         (kind == 'b' && size == 1);
}

}  // namespace

Ref numpy_type(std::span<const Ref> arguments, Arena& arena) {
  const std::string_view name = arguments.empty() ? std::string_view() : bytes_of(*arguments[0]);
  const bool has_size = name.size() == 2 && name[1] >= '0' && name[1] <= '9';
  if (!has_size || !is_supported(name[0], name[1] - '0')) {
    return arena.make_foreign(
        {"", fmt::format("the pickle holds a NumPy value of type '{}'; only plain numbers are read", printable(name)),
         false});
  }
  return arena.make(NumpyType{name[0], name[1] - '0', false});
}

void set_byte_order(NumpyType& type, const Value& state) {
  const Tuple* tuple = state.as<Tuple>();
  if (tuple == nullptr || tuple->items.size() < 2) {
    unsuited();
  }
  type.big_endian = bytes_of(*tuple->items[1]) == ">";
}

Ref numpy_scalar(std::span<const Ref> arguments, Arena& arena) {
  const NumpyType* type = arguments.size() == 2 ? arguments[0]->as<NumpyType>() : nullptr;
  if (type == nullptr) {
    unsuited();
  }
  if (std::cmp_not_equal(bytes_of(*arguments[1]).size(), type->size)) {
    unsuited();
  }
  std::string bytes = bytes_of(*arguments[1]);
  if (type->big_endian) {
    std::reverse(bytes.begin(), bytes.end());
  }
  std::uint64_t bits = 0;
  std::memcpy(&bits, bytes.data(), bytes.size());
  switch (type->kind) {
    case 'f': return arena.make(float_of(bits, type->size));
    case 'b': return arena.make(bits != 0);
    case 'i': return arena.make(sign_extended(bits, type->size));
    default: return bits <= INT64_MAX ? arena.make(static_cast<std::int64_t>(bits)) : arena.make(bits);
  }
}

Ref encode_latin1(std::span<const Ref> arguments, Arena& arena) {
  const Text* text = arguments.size() == 2 ? arguments[0]->as<Text>() : nullptr;
  const Text* encoding = arguments.size() == 2 ? arguments[1]->as<Text>() : nullptr;
  if (text == nullptr || encoding == nullptr || encoding->text != "latin1") {
    unsuited();
  }
  arena.charge(text->text.size());
  std::string bytes;
  for (std::size_t i = 0; i < text->text.size(); ++i) {
    const auto first = static_cast<unsigned char>(text->text[i]);
    if (first < 0x80) {
      bytes += text->text[i];
      continue;
    }
    // U+0080 to U+00FF: two bytes of UTF-8, 110000xx 10xxxxxx.
    if ((first & 0xfc) != 0xc0 || i + 1 == text->text.size()) {
      unsuited();
    }
    const auto second = static_cast<unsigned char>(text->text[++i]);
    bytes += static_cast<char>((first & 0x03) << 6 | (second & 0x3f));
  }
  return arena.make(Bytes{std::move(bytes)});
}

}  // namespace lossatlas::pickle
