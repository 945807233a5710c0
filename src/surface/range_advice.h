#pragma once

#include <string>

#include "surface/summary.h"
#include "surface/surface.h"

namespace lossatlas {

// Ranges to try instead of a surface's own, as options: "--x -0.4:0.4 --y -0.4:0.4" (of a line, --x alone; of a fifth
// axis
// --axis 5=-0.4:0.4). "" if
// the range cannot be chosen so: of curves, where checkpoints or runs are marked, and where 0 is not inside each axis.

/// The box around the centre in which no loss was found that is not finite; half of the distance to the nearest where
/// that is only the centre. "" if all losses are finite.
std::string finite_range(const Surface& surface);

/// The basin and as much again around it: on either side its width, at least a tenth of a step of the grid; at most
/// half of the present range, and no more than finite_range().
std::string smaller_range(const Surface& surface, const Summary& summary);

/// A range at whose border a paraboloid would be higher by the centre's loss (by 0.1 at least); 2 to 10 times the
/// present one.
std::string wider_range(const Surface& surface, const Summary& summary);

}  // namespace lossatlas
