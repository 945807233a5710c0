#pragma once

#include "data/data_set.h"

namespace lossatlas {

/// Colour images of 32x32 pixels in ten classes, each a shape (disc, ring, square, triangle, cross, stripes, checks,
/// dumbbell, crescent, dots) of random place, size, turn and colours before a random background, with a second faint
/// shape that means nothing and noise. Colours do not depend on the class.
/// `count` images for train, count/4 for test; image i is the same for every count, processor and library version
/// (its arithmetic is +, -, *, / and rounding only).
DataSet make_synthetic(std::uint32_t count, Split split);

}  // namespace lossatlas
