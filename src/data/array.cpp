#include "data/array.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <functional>
#include <new>
#include <numeric>

#include "base/error.h"
#include "base/names.h"

namespace lossatlas {
namespace {

constexpr NameTable<NumberType, 12> kTypes{{
    {NumberType::boolean, "bool"},
    {NumberType::uint8, "uint8"},
    {NumberType::int8, "int8"},
    {NumberType::uint16, "uint16"},
    {NumberType::int16, "int16"},
    {NumberType::uint32, "uint32"},
    {NumberType::int32, "int32"},
    {NumberType::int64, "int64"},
    {NumberType::float16, "float16"},
    {NumberType::bfloat16, "bfloat16"},
    {NumberType::float32, "float32"},
    {NumberType::float64, "float64"},
}};

}  // namespace

std::string_view name_of(NumberType type) { return kTypes.name_of(type); }

std::size_t bytes_of(NumberType type) {
  switch (type) {
    case NumberType::boolean:
    case NumberType::uint8:
    case NumberType::int8: return 1;
    case NumberType::uint16:
    case NumberType::int16:
    case NumberType::float16:
    case NumberType::bfloat16: return 2;
    case NumberType::uint32:
    case NumberType::int32:
    case NumberType::float32: return 4;
    case NumberType::int64:
    case NumberType::float64: return 8;
  }
  throw std::logic_error("bytes_of: unknown type");
}

std::size_t Array::size() const {
  if (shape_.empty()) return 0;
  return static_cast<std::size_t>(
      std::accumulate(shape_.begin(), shape_.end(), std::int64_t{1}, std::multiplies<std::int64_t>()));
}

Array Array::rows(std::span<const std::int64_t> indices) const {
  const std::size_t row = row_bytes();
  const auto copy = memory_for(indices.size() * row);
  const std::byte* from = bytes().data();
  for (std::size_t i = 0; i < indices.size(); ++i) {
    std::copy_n(from + static_cast<std::size_t>(indices[i]) * row, row, copy.get() + i * row);
  }
  std::vector<std::int64_t> shape = shape_;
  shape.front() = static_cast<std::int64_t>(indices.size());
  return {type_, std::move(shape), copy};
}

std::shared_ptr<std::byte[]> memory_for(std::uint64_t bytes) {
  try {
    return std::shared_ptr<std::byte[]>(new std::byte[bytes]);
  } catch (const std::bad_alloc&) {
    throw Error("requires {} bytes of memory, more than available", bytes);
  }
}

namespace {

template <std::size_t size>
void gather(const std::byte* from, std::span<const std::int64_t> shape, std::span<const std::int64_t> strides,
            std::byte* out, std::size_t count) {
  const std::size_t last = shape.size() - 1;
  const auto inner = static_cast<std::size_t>(shape[last]);
  const std::int64_t step = strides[last] * static_cast<std::int64_t>(size);
  std::vector<std::int64_t> index(last);
  for (std::size_t done = 0; done < count; done += inner) {
    const std::int64_t begin = std::inner_product(index.begin(), index.end(), strides.begin(), std::int64_t{0});
    const std::byte* next = from + begin * static_cast<std::int64_t>(size);
    for (std::size_t i = 0; i < inner; ++i, next += step, out += size) std::memcpy(out, next, size);
    for (std::size_t axis = last; axis-- > 0 && ++index[axis] == shape[axis];) index[axis] = 0;
  }
}

}  // namespace

Array gathered(NumberType type, const std::byte* from, std::vector<std::int64_t> shape,
               std::span<const std::int64_t> strides) {
  const std::size_t count = Array(type, shape, nullptr).size(), size = bytes_of(type);
  const auto copy = memory_for(count * size);
  constexpr std::array kGathers{gather<1>, gather<2>, gather<4>, gather<8>};
  if (count > 0) kGathers[static_cast<std::size_t>(std::countr_zero(size))](from, shape, strides, copy.get(), count);
  return {type, std::move(shape), copy};
}

}  // namespace lossatlas
