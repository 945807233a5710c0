#pragma once

#include <cstddef>
#include <vector>

namespace lossatlas {

/// The numbers of all points of a grid [ny, nx], x fastest, coarse to fine: `first`, then every 16th, 8th, 4th and 2nd
/// index along both axes, then the rest; within each of these row by row. A tenth of the points shows the shape. With
/// several grids, [repeats, ny, nx], each step is done in all of them before the next finer one.
std::vector<std::size_t> coarse_to_fine(std::size_t nx, std::size_t ny, std::size_t first, std::size_t repeats = 1);

}  // namespace lossatlas
