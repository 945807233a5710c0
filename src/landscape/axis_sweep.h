#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "evaluation/evaluator.h"
#include "landscape/plane.h"
#include "landscape/work.h"
#include "surface/axis_curvature.h"

namespace lossatlas {

/// ‖h d‖ of ‖θ‖, where h is not given; θ are all parameters at the origin.
inline constexpr double kShareOfParameters = 0.03;

/// About what the rounding of float32 losses moves a second difference at step h by: √6 · 5e-8 · L / h², L the loss.
double rounding_of_difference(double loss, double step);
/// A warning that `what`, such as "D(h) along x", is lost in that; "" if it is not, or is not finite.
std::string rounding_warning(const std::string& what, double value, double loss, double step);

struct AxisSweepOptions {
  double step = 0;  // h, in multiples of each direction; 0: such that ‖h d‖ = 0.03 ‖θ‖
  int threads = 1;
  const std::atomic<bool>* stop = nullptr;
  Ranks* ranks = nullptr;                           // other processes that take part; null: none
  std::string request;                              // by which they know the work
  std::function<void(const std::string&)> on_note;  // a line on other ranks
};

/// h along each direction: options' own, else 0.03 ‖θ‖ / ‖d‖, θ all parameters at the origin. Not finite, or 0, where
/// there is none.
std::vector<double> steps_of(const Plane& plane, double step);

/// Evaluations of axis_curvatures() along so many axes.
constexpr std::size_t axis_evaluations(std::size_t axes) { return 6 * axes + 1; }

/// The evaluations: the origin, then of each axis ±h/2, ±h, ±2h. All arguments outlive it.
Work axis_work(const Plane& plane, const Engine& engine, double step, int threads);

/// The curvature at the origin along each axis, over the engine's first samples; nothing if it was stopped. Evaluations
/// are spread over threads and ranks; the bits depend on neither. Without standard errors if samples are coupled.
/// Engine: for_differences().
std::optional<std::vector<AxisCurvature>> axis_curvatures(const Plane& plane, const Engine& engine,
                                                          const AxisSweepOptions& options);

}  // namespace lossatlas
