#pragma once

#include <array>
#include <cmath>

namespace lossatlas {

/// A number and its partial derivatives by x and y: arithmetic on it differentiates exactly (forward mode).
struct Dual {
  double value = 0;
  std::array<double, 2> gradient{};

  bool is_finite() const { return std::isfinite(value) && std::isfinite(gradient[0]) && std::isfinite(gradient[1]); }
};

/// Chain rule: of a function with this value and derivative at `inner`. What does not depend on a variable has
/// derivative 0 by it, however steep the outer function is.
inline Dual chain(double value, double derivative, const Dual& inner) {
  Dual result{value, {}};
  for (std::size_t i = 0; i < 2; ++i) {
    if (inner.gradient[i] != 0) result.gradient[i] = derivative * inner.gradient[i];
  }
  return result;
}

/// The same of a function of two numbers, with its two partial derivatives.
inline Dual chain(double value, double by_a, const Dual& a, double by_b, const Dual& b) {
  Dual result = chain(value, by_a, a);
  for (std::size_t i = 0; i < 2; ++i) {
    if (b.gradient[i] != 0) result.gradient[i] += by_b * b.gradient[i];
  }
  return result;
}

}  // namespace lossatlas
