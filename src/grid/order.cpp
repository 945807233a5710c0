#include "grid/order.h"

namespace lossatlas {

std::vector<std::size_t> coarse_to_fine(std::size_t nx, std::size_t ny, std::size_t first, std::size_t repeats) {
  std::vector<std::size_t> order;
  order.reserve(repeats * nx * ny);
  for (std::size_t repeat = 0; repeat < repeats; ++repeat) order.push_back(repeat * nx * ny + first);
  const auto add = [&](std::size_t repeat, std::size_t step) {
    const auto is_coarser = [&](std::size_t column, std::size_t row) {
      return step < 16 && column % (2 * step) == 0 && row % (2 * step) == 0;
    };
    for (std::size_t row = 0; row < ny; row += step) {
      for (std::size_t column = 0; column < nx; column += step) {
        const std::size_t index = row * nx + column;
        if (index != first && !is_coarser(column, row)) order.push_back(repeat * nx * ny + index);
      }
    }
  };
  for (std::size_t step = 16; step > 0; step /= 2) {
    for (std::size_t repeat = 0; repeat < repeats; ++repeat) add(repeat, step);
  }
  return order;
}

}  // namespace lossatlas
