#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace lossatlas {

/// The smallest number of points a side that a spline is laid through.
inline constexpr std::size_t kLeastForSpline = 4;

/// The cubic spline through (x[i], y[i]) at the coordinates `at`, twice differentiable, with no knot at the second and
/// the last but one point ("not-a-knot"; de Boor, A Practical Guide to Splines, chapter IV). Exact for cubics. x rises
/// or falls throughout and has kLeastForSpline points or more; y is finite; `at` may be in any order.
std::vector<double> spline(std::span<const double> x, std::span<const double> y, std::span<const double> at);

/// The bicubic spline, along x and then along y: `values` [y, x] at the points [at_y, at_x]. It is the one that SciPy's
/// interp2d (kind "cubic") and RectBivariateSpline lay through a grid.
std::vector<double> bicubic_spline(std::span<const double> x, std::span<const double> y, std::span<const double> values,
                                   std::span<const double> at_x, std::span<const double> at_y);

}  // namespace lossatlas
