#include "surface/basin.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <numeric>
#include <vector>

namespace lossatlas {
namespace {

/// Sets of connected points.
class Regions {
 public:
  explicit Regions(std::size_t count) : parents_(count) { std::iota(parents_.begin(), parents_.end(), std::size_t{0}); }
  std::size_t of(std::size_t point) {
    while (parents_[point] != point) point = parents_[point] = parents_[parents_[point]];
    return point;
  }
  void join(std::size_t a, std::size_t b) { parents_[of(a)] = of(b); }

 private:
  std::vector<std::size_t> parents_;
};

/// The share of a triangle, or of a line, on which a linear function is at most `level`. Of a triangle a line cuts off
/// a smaller one at the lowest corner, or at the highest, whose sides are the shares of the two sides that meet there;
/// its area is their product.
double share_below(std::span<double> corners, double level) {
  std::sort(corners.begin(), corners.end());
  const auto part = [&](double low, double high) { return (level - low) / (high - low); };
  if (corners.back() <= level) return 1;
  if (corners.front() > level) return 0;
  if (corners.size() == 2) return part(corners[0], corners[1]);
  if (corners[1] > level) return part(corners[0], corners[1]) * part(corners[0], corners[2]);
  const double above = corners[2] - level;
  return std::isinf(above) ? 0 : 1 - above * above / ((corners[2] - corners[0]) * (corners[2] - corners[1]));
}

/// The region around the centre where the loss is at most a level. Its pieces are triangles, or the steps of a line.
class Basin {
 public:
  Basin(const Grid& grid, std::span<const double> heights, std::size_t centre, double level)
      : grid_(grid), heights_(heights), level_(level), regions_(grid.size() + cells()) {
    for_each_piece([&](auto& corners, auto& losses) {
      for (std::size_t a = 0; a < corners.size(); ++a) {
        for (std::size_t b = a + 1; b < corners.size(); ++b) {
          if (losses[a] <= level_ && losses[b] <= level_) regions_.join(corners[a], corners[b]);
        }
      }
    });
    region_ = regions_.of(centre);
  }

  /// Area, or length on a line, in the units of the axes.
  double size() {
    double pieces = 0;
    for_each_piece([&](auto& corners, auto& losses) {
      for (std::size_t a = 0; a < corners.size(); ++a) {
        if (losses[a] > level_ || regions_.of(corners[a]) != region_) continue;
        pieces += share_below(losses, level_);
        break;
      }
    });
    // Four triangles to a cell; the other axis of a line has one point, and the step 1.
    for (const Axis& axis : grid_.axes) pieces *= axis.step();
    return pieces / (is_line() ? 1 : 4);
  }

  bool reaches_the_unknown() {
    bool reaches = false;
    for (std::size_t i = 0; i < grid_.size() && !reaches; ++i) {
      if (!(heights_[i] <= level_) || regions_.of(i) != region_) continue;
      reaches = grid_.is_border(i);
      grid_.for_each_neighbour(i, true, [&](std::size_t other) { reaches = reaches || std::isnan(heights_[other]); });
    }
    return reaches;
  }

  bool is_line() const { return nx() == 1 || ny() == 1; }

 private:
  std::size_t nx() const { return grid_.axes[0].points; }
  std::size_t ny() const { return grid_.dimensions() > 1 ? grid_.axes[1].points : 1; }
  std::size_t cells() const { return (nx() - 1) * (ny() - 1); }

  /// Calls use(corners, losses) for each piece whose losses are all there.
  template <class Use>
  void for_each_piece(const Use& use) const {
    if (is_line()) {
      for (std::size_t i = 0; i + 1 < grid_.size(); ++i) {
        std::array corners{i, i + 1};
        std::array losses{heights_[i], heights_[i + 1]};
        if (!std::isnan(losses[0] + losses[1])) use(corners, losses);
      }
      return;
    }
    for (std::size_t cell = 0; cell < cells(); ++cell) {
      const std::size_t low = cell / (nx() - 1) * nx() + cell % (nx() - 1);
      const std::array around{low, low + 1, low + nx() + 1, low + nx()};
      double middle = 0;
      for (const std::size_t corner : around) middle += heights_[corner] / 4;
      if (std::isnan(middle)) continue;
      for (std::size_t side = 0; side < 4; ++side) {
        std::array corners{around[side], around[(side + 1) % 4], grid_.size() + cell};
        std::array losses{heights_[corners[0]], heights_[corners[1]], middle};
        use(corners, losses);
      }
    }
  }

  const Grid& grid_;
  std::span<const double> heights_;
  double level_;
  Regions regions_;
  std::size_t region_ = 0;
};

}  // namespace

Width width_around(const Grid& grid, std::span<const double> heights, std::size_t centre) {
  const double loss = heights[centre];
  if (grid.dimensions() > 2 || grid.size() == 1 || !(loss > 0) || !std::isfinite(loss)) return {};
  Basin basin(grid, heights, centre, 2 * loss);
  const double size = basin.size();
  return {basin.is_line() ? size : 2 * std::sqrt(size / std::numbers::pi),  // of a disc of that area
          basin.reaches_the_unknown()};
}

}  // namespace lossatlas
