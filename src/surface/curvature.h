#pragma once

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "grid/grid.h"

namespace lossatlas {

/// The least-squares fit of loss = c + g·p + ½ pᵀ H p, p the coordinates from the centre's point, to the points at most
/// two steps away along each axis. Axes of one point do not count.
struct Curvature {
  std::vector<double> eigenvalues;  // of H, ascending, in loss per squared unit of the axes; NaN if they are not known
  double condition = kNotKnown;     // largest |λ| / smallest |λ|; of two axes or more
  std::size_t points = 0;           // that were fitted; a fit needs three different coordinates along each axis

  double smallest() const;
  double largest() const;
  bool is_known() const { return !std::isnan(smallest()); }
  bool is_convex() const { return smallest() > 0; }
};

/// `heights`: the loss at each point; those that are not finite are passed over.
Curvature curvature_at(const Grid& grid, std::span<const double> heights, std::size_t centre);

}  // namespace lossatlas
