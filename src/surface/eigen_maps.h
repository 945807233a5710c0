#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace lossatlas {

/// The extreme eigenvalues of the Hessian of the mean loss at each point of a plane, row by row: those of `done` rows
/// are there. NaN where the loss is not finite.
struct EigenMaps {
  std::size_t products = 0;     // of the Hessian with vectors, at each point but the very first
  std::int64_t batch_size = 0;  // samples that were differentiated at a time: last bits depend on it
  std::vector<double> largest, smallest, largest_residuals, smallest_residuals;  // [n_y, n_x]
  std::vector<std::uint8_t> done;                                                // [n_y]: 1 or 0

  EigenMaps() = default;
  EigenMaps(std::size_t columns, std::size_t rows)
      : largest(columns * rows, std::numeric_limits<double>::quiet_NaN()),
        smallest(largest),
        largest_residuals(largest),
        smallest_residuals(largest),
        done(rows) {}

  bool is_complete() const {
    for (const std::uint8_t row : done) {
      if (row == 0) return false;
    }
    return true;
  }
  /// |λmin / λmax|: how far from convex the loss is there (Li et al. 2018, figure 7).
  std::vector<double> ratios() const;
};

/// What people want to know of them: ranges, and where curvature is negative. Empty while nothing is there.
std::vector<std::string> eigen_map_lines(const EigenMaps& maps);

}  // namespace lossatlas
