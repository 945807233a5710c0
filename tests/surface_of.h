#pragma once

// A surface whose losses are a function of the coordinates.

#include <functional>
#include <string>
#include <vector>

#include "surface/surface.h"

namespace lossatlas {

/// Loss and accuracy of a split, and further measures by their names.
inline std::vector<Measure> measures_with(Split split, const std::vector<std::string>& further) {
  auto measures = loss_and_accuracy(split);
  for (const auto& name : further) measures.push_back(measure_of(name));
  return measures;
}

using Height = std::function<double(double x, double y)>;
using HeightAt = std::function<double(const std::vector<double>& at)>;

inline Surface surface_over(const Grid& grid, const HeightAt& loss) {
  Surface surface(grid, loss_and_accuracy(Split::train));
  for (std::size_t i = 0; i < surface.size(); ++i) surface.set(i, {loss(grid.coordinates_of(i)), 0, 50, 0, 10});
  return surface;
}

inline Surface surface_of(const Axis& x, const Axis& y, const Height& loss) {
  return surface_over({x, y}, [&](const std::vector<double>& at) { return loss(at[0], at[1]); });
}

}  // namespace lossatlas
