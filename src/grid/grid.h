#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "grid/axis.h"

namespace lossatlas {

/// The name of axis number `axis` of a grid, counted from 0: x, y, z, w, then axis5, axis6, …
std::string axis_name(std::size_t axis);

/// The points of one or more axes, the first of which is fastest: an array over a grid is [n_N, …, n_y, n_x], and a
/// point is an index into it.
struct Grid {
  std::vector<Axis> axes;

  /// Axes without a name take that of their place.
  explicit Grid(std::vector<Axis> of);
  Grid(std::initializer_list<Axis> of) : Grid(std::vector<Axis>(of)) {}

  std::size_t size() const;
  /// Points along each axis, the slowest first.
  std::vector<std::size_t> shape() const;
  std::size_t dimensions() const { return axes.size(); }

  /// Where a point lies along each axis.
  std::vector<std::size_t> indices_of(std::size_t point) const;
  std::size_t point_of(std::span<const std::size_t> indices) const;
  std::vector<double> coordinates_of(std::size_t point) const;
  /// The point at exactly these coordinates, if there is one.
  std::optional<std::size_t> index_of(std::span<const double> coordinates) const;
  /// The point where all coordinates are 0, if there is one.
  std::optional<std::size_t> origin() const;
  /// That point, else the one in the middle.
  std::size_t centre() const;
  /// The point nearest to the origin, along each axis for itself.
  std::size_t nearest_to_origin() const;

  /// On the edge of the grid; an axis of one point has none.
  bool is_border(std::size_t point) const;
  /// Calls use(other) for the neighbours of a point: the 2 N along the axes, or with the diagonals all 3^N - 1.
  template <class Use>
  void for_each_neighbour(std::size_t point, bool diagonals, const Use& use) const;
};

/// For each point of one grid the point at the same coordinates in another; nothing if the other has none, or other
/// axes.
std::vector<std::optional<std::size_t>> places_of(const Grid& grid, const Grid& other);

template <class Use>
void Grid::for_each_neighbour(std::size_t point, bool diagonals, const Use& use) const {
  const std::vector<std::size_t> at = indices_of(point);
  std::vector<int> steps(axes.size(), -1);  // -1, 0 or 1 along each axis, the first one counting fastest
  for (std::size_t k = 0; k < axes.size();) {
    std::size_t moved = 0, stride = 1;
    std::ptrdiff_t other = static_cast<std::ptrdiff_t>(point);
    bool is_inside = true;
    for (k = 0; k < axes.size(); ++k) {
      moved += steps[k] != 0 ? 1 : 0;
      is_inside = is_inside && (steps[k] >= 0 || at[k] > 0) && (steps[k] <= 0 || at[k] + 1 < axes[k].points);
      other += steps[k] * static_cast<std::ptrdiff_t>(stride);
      stride *= axes[k].points;
    }
    if (is_inside && moved > 0 && (diagonals || moved == 1)) use(static_cast<std::size_t>(other));
    for (k = 0; k < axes.size() && ++steps[k] > 1; ++k) steps[k] = -1;
  }
}

}  // namespace lossatlas
