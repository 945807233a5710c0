#include "grid/axis.h"

#include <cmath>

namespace lossatlas {

double Axis::at(std::size_t index) const {
  if (index == 0) return low;
  if (index + 1 == points) return high;
  // Counted from the middle, so that a symmetric range is exactly symmetric.
  const double half_steps = 2.0 * static_cast<double>(index) - static_cast<double>(points - 1);
  const double half_step = (high - low) / (2.0 * static_cast<double>(points - 1));
  const double value = (low + high) / 2 + half_steps * half_step;
  // Rounding must not hide the two checkpoints of a line, at 0 and 1.
  const double whole = std::round(value);
  return std::abs(value - whole) < 1e-9 * std::abs(half_step) ? whole : value;
}

std::vector<double> Axis::coordinates() const {
  std::vector<double> all(points);
  for (std::size_t i = 0; i < points; ++i) all[i] = at(i);
  return all;
}

double Axis::step() const { return points > 1 ? (high - low) / static_cast<double>(points - 1) : 1; }

std::optional<std::size_t> Axis::index_of(double coordinate) const {
  for (std::size_t i = 0; i < points; ++i) {
    if (at(i) == coordinate) return i;
  }
  return std::nullopt;
}

bool Axis::has_distinct_points() const {
  for (std::size_t i = 0; i < points; ++i) {
    if (!std::isfinite(at(i)) || (i > 0 && !(at(i - 1) < at(i)))) return false;
  }
  return true;
}

}  // namespace lossatlas
