#include "grid/order.h"

#include <functional>

namespace lossatlas {
namespace {

/// Calls use(point, is_coarser) for the points whose indices are multiples of `step` along all axes, in the order of
/// their numbers. `is_coarser`: they are multiples of twice the step too.
void for_each_multiple(const Grid& grid, std::size_t step, const std::function<void(std::size_t, bool)>& use) {
  const std::function<void(std::size_t, std::size_t, bool)> along = [&](std::size_t axes, std::size_t point,
                                                                        bool is_coarser) {
    if (axes == 0) return use(point, is_coarser);
    const std::size_t points = grid.axes[axes - 1].points;
    for (std::size_t i = 0; i < points; i += step) {
      along(axes - 1, point * points + i, is_coarser && i % (2 * step) == 0);
    }
  };
  along(grid.dimensions(), 0, true);
}

}  // namespace

std::vector<std::size_t> coarse_to_fine(const Grid& grid, std::size_t first, std::size_t grids) {
  constexpr std::size_t kCoarsest = 16;
  const std::size_t size = grid.size();
  std::vector<std::size_t> order;
  order.reserve(grids * size);
  for (std::size_t member = 0; member < grids; ++member) order.push_back(member * size + first);
  for (std::size_t step = kCoarsest; step > 0; step /= 2) {
    for (std::size_t member = 0; member < grids; ++member) {
      for_each_multiple(grid, step, [&](std::size_t point, bool is_coarser) {
        if (point != first && (step == kCoarsest || !is_coarser)) order.push_back(member * size + point);
      });
    }
  }
  return order;
}

}  // namespace lossatlas
