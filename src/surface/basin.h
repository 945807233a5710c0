#pragma once

#include <cstddef>
#include <span>

#include "grid/grid.h"

namespace lossatlas {

/// How wide the region around the centre is in which the loss is at most twice the centre's.
struct Width {
  double width = kNotKnown;
  bool is_bound = false;  // the region touches the border or a missing point: the true width is at least this
};

/// Diameter 2√(A/π) of the circle with the area A of that region. A is that of triangles: each cell is cut into four at
/// its middle, whose loss is the mean of the corners, and the loss is linear on each. On a grid of one row or column:
/// the length of that interval. Not known of more than two axes. `heights`: the loss at each point, NaN where it is
/// missing, infinite where it is not finite.
Width width_around(const Grid& grid, std::span<const double> heights, std::size_t centre);

}  // namespace lossatlas
