#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <type_traits>

#include "data/array.h"

namespace lossatlas {

/// A float16 (IEEE 754 binary16), as it is stored.
struct Half {
  std::uint16_t bits;

  operator float() const {
    constexpr float kSmallest = 0x1p-24F;
    const std::uint32_t exponent = bits >> 10 & 31, fraction = bits & 1023, sign = std::uint32_t{bits} >> 15;
    if (exponent == 0) return (sign ? -kSmallest : kSmallest) * static_cast<float>(fraction);
    const std::uint32_t wide = exponent == 31 ? 255 : exponent + 112;
    return std::bit_cast<float>(sign << 31 | wide << 23 | fraction << 13);
  }
};

/// A bfloat16, as it is stored.
struct BrainFloat {
  std::uint16_t bits;

  operator float() const { return std::bit_cast<float>(std::uint32_t{bits} << 16); }
};

/// use(numbers): a std::span of the array's own type, of uint8 for bool.
template <class Use>
auto visit(const Array& array, const Use& use) {
  const auto numbers = [&]<class Number>(Number) {
    return use(std::span(reinterpret_cast<const Number*>(array.bytes().data()), array.size()));
  };
  switch (array.type()) {
    case NumberType::boolean:
    case NumberType::uint8: return numbers(std::uint8_t());
    case NumberType::int8: return numbers(std::int8_t());
    case NumberType::uint16: return numbers(std::uint16_t());
    case NumberType::int16: return numbers(std::int16_t());
    case NumberType::uint32: return numbers(std::uint32_t());
    case NumberType::int32: return numbers(std::int32_t());
    case NumberType::int64: return numbers(std::int64_t());
    case NumberType::float16: return numbers(Half());
    case NumberType::bfloat16: return numbers(BrainFloat());
    case NumberType::float32: return numbers(float());
    case NumberType::float64: return numbers(double());
  }
  throw std::logic_error("visit: unknown type");
}

/// As visit, for floats only.
template <class Use>
void visit_floats(const Array& array, const Use& use) {
  visit(array, [&]<class Number>(std::span<const Number> numbers) {
    if constexpr (!std::is_integral_v<Number>) use(numbers);
  });
}

inline bool is_float(NumberType type) {
  return type == NumberType::float16 || type == NumberType::bfloat16 || type == NumberType::float32 ||
         type == NumberType::float64;
}

}  // namespace lossatlas
