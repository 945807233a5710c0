#include "evaluation/measurement.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace lossatlas {
namespace {

/// What turns Σ (x - mean)² / n into the squared standard error of the mean: 1 / (n - 1), and the finite-population
/// correction 1 - n / population (Cochran 1977, "Sampling Techniques", section 2.6).
double correction(double n, double population) {
  if (n > 1) return (1 - n / population) / (n - 1);
  return population > 1 ? std::numeric_limits<double>::quiet_NaN() : 0;
}

}  // namespace

Sum& Sum::operator+=(const Sum& other) {
  count += other.count;
  weights += other.weights;
  total += other.total;
  squares += other.squares;
  weight_squares += other.weight_squares;
  weighted_total += other.weighted_total;
  return *this;
}

double Sum::standard_error(double population) const {
  if (!std::isfinite(mean())) return std::numeric_limits<double>::quiet_NaN();
  const bool is_plain = weights == count && weight_squares == count;
  if (is_plain) return std::sqrt(std::max(0.0, squares / count - mean() * mean()) * correction(count, population));
  const double deviations =
      squares - 2 * mean() * weighted_total + mean() * mean() * weight_squares;  // Σ w² (x - mean)²
  return std::sqrt(std::max(0.0, deviations) * count * correction(count, population)) / weights;
}

double Sum::standard_error_of_share(double population) const {
  return std::sqrt(mean() * (1 - mean()) * correction(count, population));
}

Measurement& Measurement::operator+=(const Measurement& other) {
  if (sums_.empty()) sums_.resize(other.size());
  if (size() != other.size()) throw std::logic_error("Measurement: other measures");
  for (std::size_t m = 0; m < size(); ++m) sums_[m] += other[m];
  return *this;
}

}  // namespace lossatlas
