#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "functions/expression.h"
#include "optimizers/options.h"
#include "optimizers/schedule.h"

namespace lossatlas {

/// Minibatches for a function: it is taken for the mean of `terms` functions, f plus a tilt of its own each. The tilts'
/// slopes are Gaussian and add up to 0, so that the mean is f itself. An optimizer then sees the mean gradient of
/// `batch_size` terms drawn without replacement, as a network's optimizer sees that of a minibatch of images: the
/// gradient plus noise of standard deviation about deviation/√batch_size, and exactly f's over each whole epoch at a
/// place. gd sees all terms.
struct GradientNoise {
  double deviation = 0;  // of the tilts' slopes along each coordinate; 0: no noise
  std::int64_t terms = 100;
  std::int64_t batch_size = 10;
  std::uint64_t seed = 0;  // decides tilts and order
};

struct DescentOptions {
  OptimizerOptions optimizer;
  double rate = 0.01;     // ε > 0
  RateSchedule schedule;  // of ε, in steps
  std::int64_t steps = 100;
  bool ascend = false;      // climbs f: the optimizer gets the gradient of -f
  double tolerance = 1e-9;  // converged if neither gradient nor last step is longer
  GradientNoise noise;
};

enum class DescentEnd { steps, converged, diverged, undefined, interrupted };

/// "steps": all done. "diverged": numbers left the range of a double. "undefined": the function has no value or
/// derivative where the last step led. "interrupted": told to stop.
std::string name_of(DescentEnd end);

/// The way of one optimizer; of s steps, s + 1 rows of d coordinates each.
struct Descent {
  DescentOptions options;
  std::size_t variables = 1;  // d
  DescentEnd end = DescentEnd::steps;
  std::string reason;                  // in words, where it diverged or the function is undefined
  std::vector<double> position;        // [s + 1, d]
  std::vector<double> value;           // [s + 1]
  std::vector<double> gradient;        // [s + 1, d], as the optimizer saw it: with the noise of its minibatch
  std::vector<double> effective_rate;  // [s + 1, d]: ε / divisor (rule.h) of the step from here; NaN in the last row

  std::size_t steps() const { return value.size() - 1; }
  std::span<const double> last() const { return std::span(position).last(variables); }
};

/// Follows the optimizer from `start`; stops early where it has converged, or cannot continue, and after the step under
/// way where *stop is set. Throws Error if the function has no value or derivative at the start.
Descent descend(const Expression& function, std::span<const double> start, const DescentOptions& options,
                const std::atomic<bool>* stop = nullptr);

/// Value and gradient at a point, and the slope along a direction where one is given.
struct Tangent {
  std::vector<double> point, gradient;  // [d]
  double value = 0;
  std::vector<double> direction;  // [d], of length 1; empty if none was asked for
  double directional_derivative = 0;
};

/// Throws Error if the function has no value or derivative at the point. `direction` may have any length but 0, or
/// be empty.
Tangent tangent_at(const Expression& function, std::span<const double> point, std::span<const double> direction);

}  // namespace lossatlas
