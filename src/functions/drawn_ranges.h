#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include "functions/descent.h"
#include "functions/gallery.h"

namespace lossatlas {

struct Interval {
  double low = INFINITY, high = -INFINITY;
};

/// The range of each of the coordinates that a picture of descents holds: the positions of the descents (of one that
/// diverged its first few, and none from where a step leads far away), the marked points, and the usual domain of the
/// function. `known`: null for a function without one.
std::vector<Interval> drawn_ranges(const std::vector<Descent>& descents, const std::vector<std::vector<double>>& marked,
                                   const NamedFunction* known, std::size_t variables);

}  // namespace lossatlas
