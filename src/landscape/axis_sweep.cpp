#include "landscape/axis_sweep.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <numeric>
#include <string>
#include <utility>

#include "base/text.h"
#include "evaluation/measurement.h"
#include "grid/grid.h"

namespace lossatlas {
namespace {

constexpr std::array kMultiples{0.5, 1.0, 2.0};         // of h
constexpr std::size_t kOfAxis = 2 * kMultiples.size();  // evaluations

/// The item of an axis at +m h and, next to it, at -m h.
std::size_t item_of(std::size_t axis, std::size_t multiple) { return 1 + axis * kOfAxis + 2 * multiple; }

/// Where an item is in the plane.
std::vector<double> coordinates_of(std::size_t item, const std::vector<double>& steps) {
  std::vector<double> at(steps.size());
  if (item == 0) return at;
  const std::size_t axis = (item - 1) / kOfAxis, place = (item - 1) % kOfAxis;
  at[axis] = (place % 2 == 0 ? 1 : -1) * kMultiples[place / 2] * steps[axis];
  return at;
}

bool is_step(double step) { return step > 0 && std::isfinite(step); }

struct Evaluated {
  std::unique_ptr<Evaluator> evaluator;
  NetworkState point;
};

using Losses = std::vector<double>;  // of the samples, in order

ScaleCurvature second_difference(const Losses& plus, const Losses& centre, const Losses& minus, double step,
                                 double population, bool per_sample) {
  Sum sum;
  for (std::size_t i = 0; i < centre.size(); ++i) sum.add((plus[i] - 2 * centre[i] + minus[i]) / (step * step));
  const double value = sum.mean();
  if (!std::isfinite(value)) return {.step = step};
  return {step, value, per_sample ? sum.standard_error(population) : kNotKnown};
}

}  // namespace

double rounding_of_difference(double loss, double step) {
  constexpr double kOfLoss = 5e-8;  // relative, standard deviation
  return std::sqrt(6.0) * kOfLoss * std::abs(loss) / (step * step);
}

std::string rounding_warning(const std::string& what, double value, double loss, double step) {
  const double rounding = rounding_of_difference(loss, step);
  if (!(rounding > std::abs(value) / 2)) return "";
  return fmt::format(
      "warning: {}, {:.2g}, is lost in the rounding of the losses, about {:.2g} at h = {:.2g}; choose a larger `step`",
      what, value, rounding, step);
}

std::vector<double> steps_of(const Plane& plane, double step) {
  const double size = norm(plane.origin);
  std::vector<double> steps;
  for (const Direction& direction : plane.directions) {
    steps.push_back(step > 0 ? step : kShareOfParameters * size / norm(direction));
  }
  return steps;
}

Work axis_work(const Plane& plane, const Engine& engine, double step, int threads) {
  const auto on_thread = [&plane, &engine, steps = steps_of(plane, step)]() -> EvaluateItem {
    const auto own =
        std::make_shared<Evaluated>(Evaluated{engine.make_evaluator(), copy_state(plane.origin, engine.device())});
    return [&plane, &engine, own, steps](std::size_t item) -> ItemResult {
      place(plane, coordinates_of(item, steps), own->point);
      ItemResult result;
      result.values = own->evaluator->evaluate(own->point, std::array{engine.images()}, &result.images);
      return result;
    };
  };
  return {.request = {}, .on_thread = on_thread, .threads = engine.device().is_cpu() ? threads : 1};
}

std::optional<std::vector<AxisCurvature>> axis_curvatures(const Plane& plane, const Engine& engine,
                                                          const AxisSweepOptions& options) {
  const std::vector<double> steps = steps_of(plane, options.step);
  std::vector<std::size_t> items;
  if (std::any_of(steps.begin(), steps.end(), is_step)) items.push_back(0);
  for (std::size_t axis = 0; axis < steps.size(); ++axis) {
    for (std::size_t k = 0; k < kOfAxis && is_step(steps[axis]); ++k) items.push_back(item_of(axis, 0) + k);
  }
  SweepHooks hooks;
  hooks.stop = options.stop;
  hooks.on_note = options.on_note;
  Work work = axis_work(plane, engine, options.step, options.threads);
  work.request = options.request;
  const auto results = collect(work, items, options.ranks, hooks);
  if (!results) return std::nullopt;
  const auto losses = [&](std::size_t item) -> const Losses& { return results->at(item).images.losses; };
  const auto population = static_cast<double>(std::max(engine.samples().population, engine.images()));
  std::vector<AxisCurvature> axes;
  for (std::size_t axis = 0; axis < steps.size(); ++axis) {
    AxisCurvature found{.axis = axis_name(axis),
                        .length = norm(plane.directions[axis]),
                        .samples = engine.images(),
                        .scale = {},
                        .autodiff = {}};
    for (std::size_t m = 0; m < kMultiples.size() && is_step(steps[axis]); ++m) {
      found.scale[m] = second_difference(losses(item_of(axis, m)), losses(0), losses(item_of(axis, m) + 1),
                                         kMultiples[m] * steps[axis], population, engine.capabilities().per_sample);
    }
    const Losses& centre = losses(0);
    const double loss = std::accumulate(centre.begin(), centre.end(), 0.0) / static_cast<double>(centre.size());
    const std::string warning = rounding_warning("D(h) along " + found.axis, found.at_step().value, loss, steps[axis]);
    if (!warning.empty() && options.on_note) options.on_note(warning);
    axes.push_back(found);
  }
  return axes;
}

}  // namespace lossatlas
