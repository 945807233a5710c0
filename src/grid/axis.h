#pragma once

#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace lossatlas {

/// A number that there is not.
inline constexpr double kNotKnown = std::numeric_limits<double>::quiet_NaN();

/// Evenly spaced coordinates along one direction, in multiples of it.
struct Axis {
  double low = -1;
  double high = 1;
  std::size_t points = 51;
  std::string name = {};  // "": the one of its place in the grid (axis_name)

  /// low for 0, high for points - 1; a symmetric range passes through an exact 0.
  double at(std::size_t index) const;
  std::vector<double> coordinates() const;
  /// From one point to the next; 1 if there is one point.
  double step() const;
  /// The point at exactly this coordinate, if there is one.
  std::optional<std::size_t> index_of(double coordinate) const;
  /// False for a range that is too wide or too narrow for its points: they would not be different finite numbers.
  bool has_distinct_points() const;
};

}  // namespace lossatlas
