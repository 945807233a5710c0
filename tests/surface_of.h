#pragma once

// A surface whose losses are a function of the coordinates.

#include <functional>

#include "surface/surface.h"

namespace lossatlas {

using Height = std::function<double(double x, double y)>;

inline Surface surface_of(const Axis& x, const Axis& y, const Height& loss) {
  Surface surface(x, y, Split::train);
  for (std::size_t i = 0; i < surface.size(); ++i) {
    surface.set(i, {loss(x.at(i % x.points), y.at(i / x.points)), 0, 50, 0, 10});
  }
  return surface;
}

}  // namespace lossatlas
