#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <stdexcept>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace lossatlas {

enum class NumberType {
  boolean,
  uint8,
  int8,
  uint16,
  int16,
  uint32,
  int32,
  int64,
  float16,
  bfloat16,
  float32,
  float64
};

/// As NumPy and PyTorch name it: "uint8", "bool".
std::string_view name_of(NumberType type);
std::size_t bytes_of(NumberType type);

template <class Number>
constexpr NumberType number_type() {
  if constexpr (std::is_same_v<Number, std::uint8_t>) return NumberType::uint8;
  if constexpr (std::is_same_v<Number, std::int8_t>) return NumberType::int8;
  if constexpr (std::is_same_v<Number, std::uint16_t>) return NumberType::uint16;
  if constexpr (std::is_same_v<Number, std::int16_t>) return NumberType::int16;
  if constexpr (std::is_same_v<Number, std::uint32_t>) return NumberType::uint32;
  if constexpr (std::is_same_v<Number, std::int32_t>) return NumberType::int32;
  if constexpr (std::is_same_v<Number, std::int64_t>) return NumberType::int64;
  if constexpr (std::is_same_v<Number, float>) return NumberType::float32;
  if constexpr (std::is_same_v<Number, double>) return NumberType::float64;
}

/// Numbers in the order of C, the first axis the sample, in memory or mapped from a file. Copies share them, and nobody
/// writes them.
class Array {
 public:
  Array() = default;
  /// `data` owns what it points to (an aliasing pointer into a mapped file, say), and is aligned for the type.
  Array(NumberType type, std::vector<std::int64_t> shape, std::shared_ptr<const void> data)
      : type_(type), shape_(std::move(shape)), data_(std::move(data)) {}
  template <class Number>
  Array(std::vector<std::int64_t> shape, std::vector<Number> numbers)
      : type_(number_type<Number>()), shape_(std::move(shape)) {
    auto owner = std::make_shared<std::vector<Number>>(std::move(numbers));
    data_ = std::shared_ptr<const void>(owner, owner->data());
  }

  NumberType type() const { return type_; }
  const std::vector<std::int64_t>& shape() const { return shape_; }
  std::size_t size() const;  // numbers
  std::size_t rows() const { return shape_.empty() ? 0 : static_cast<std::size_t>(shape_.front()); }
  std::size_t row_bytes() const { return rows() == 0 ? 0 : bytes().size() / rows(); }

  std::span<const std::byte> bytes() const {
    return {static_cast<const std::byte*>(data_.get()), size() * bytes_of(type_)};
  }
  /// Throws std::logic_error if they are of another type.
  template <class Number>
  std::span<const Number> numbers() const {
    if (type_ != number_type<Number>()) throw std::logic_error("Array: of another type");
    return {static_cast<const Number*>(data_.get()), size()};
  }
  /// A copy of these rows, in this order.
  Array rows(std::span<const std::int64_t> indices) const;
  /// The same numbers under another shape, of as many numbers.
  Array reshaped(std::vector<std::int64_t> shape) const { return {type_, std::move(shape), data_}; }

 private:
  NumberType type_ = NumberType::uint8;
  std::vector<std::int64_t> shape_;
  std::shared_ptr<const void> data_;
};

/// Memory for so many bytes, not yet written. Throws Error if there is not that much.
std::shared_ptr<std::byte[]> memory_for(std::uint64_t bytes);

/// A copy in the order of C of numbers that lie anywhere, aligned or not: the number at an index is `from` plus the sum
/// of index · stride, in numbers.
Array gathered(NumberType type, const std::byte* from, std::vector<std::int64_t> shape,
               std::span<const std::int64_t> strides);

}  // namespace lossatlas
