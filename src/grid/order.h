#pragma once

#include <cstddef>
#include <vector>

#include "grid/grid.h"

namespace lossatlas {

/// All points of a grid, coarse to fine: `first`, then every 16th, 8th, 4th and 2nd index along all axes, then the
/// rest; within each of these in the order of their numbers. Of two axes a tenth of the points shows the shape. With
/// several grids, [grids, …], each step is done in all of them before the next finer one.
std::vector<std::size_t> coarse_to_fine(const Grid& grid, std::size_t first, std::size_t grids = 1);

}  // namespace lossatlas
