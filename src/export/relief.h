#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "export/grid_file.h"

namespace lossatlas {

/// How heights come from values, in the order in which tomgoldstein/loss-landscape's h52vtp.py does it.
struct HeightOptions {
  std::size_t interpolate = 0;  // points a side of a bicubic spline through the values; 0: the grid as it is
  std::optional<double> zmax;   // then: larger values become this one, and losses that are not finite as well
  bool log = false;             // then: ln(z + 0.1)
};

/// Heights over a grid.
struct Relief {
  std::string field;
  std::vector<double> x, y;
  std::vector<double> z;           // [ny, nx]; NaN: a hole
  std::vector<std::string> notes;  // what a reader should know: what was cut, what is left out

  std::size_t holes() const;
  /// Bilinear between the grid's points. NaN outside the grid, and beside a hole.
  double height_at(double at_x, double at_y) const;
};

/// Points that are not evaluated, or not finite and not cut, are holes. Throws Error if nothing is left, if the
/// grid has one row or column or none, or more than two axes, and if a spline is asked for and a value is missing.
Relief relief_of(const GridFile& grid, const Column& field, const HeightOptions& options);

}  // namespace lossatlas
