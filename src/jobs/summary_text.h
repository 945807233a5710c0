#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "jobs/observer.h"
#include "surface/surface.h"

namespace lossatlas {

/// The numbers of a surface and its hints, in a few short lines for people.
std::vector<std::string> summary_lines(const Surface& surface);

/// The curvature along each axis at the centre, a line an axis. `largest_eigenvalue`: of the Hessian there, if it is
/// known.
std::vector<std::string> axis_lines(const Surface& surface, double largest_eigenvalue = kNotKnown);

/// Says at the end of a sweep how many losses are not finite and, where no point is missing, the lines above.
void report_values(const Surface& surface, Observer& observer);

/// What became of the comparison of the centre with the untouched checkpoint: "" if there was none.
std::string centre_check_text(const Surface& surface);

}  // namespace lossatlas
