#include "jobs/axis_run.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/json.h"
#include "base/text.h"
#include "landscape/axis_sweep.h"
#include "surface/shard.h"

namespace lossatlas {
namespace {

Engine engine_of_axes(const Engine& engine, std::int64_t samples) {
  if (samples >= engine.images()) return engine.for_differences();
  std::vector<std::int64_t> first(static_cast<std::size_t>(samples));
  std::iota(first.begin(), first.end(), 0);
  return engine.for_differences().with_samples(engine.data().subset(first));
}

bool has_autodiff(const std::vector<AxisCurvature>& axes) {
  return std::all_of(axes.begin(), axes.end(), [](const AxisCurvature& axis) { return axis.autodiff.has_value(); });
}

/// Whether the second differences are there, at the steps that are asked for.
bool has_steps(const SurfaceJob& job) {
  const auto& axes = job.surface.axis_curvatures;
  const double asked = job.axes->step;
  const auto is_there = [&](const AxisCurvature& axis) {
    return axis.samples > 0 && (asked == 0 || axis.at_step().step == asked);
  };
  return axes.size() == job.surface.grid.dimensions() && std::all_of(axes.begin(), axes.end(), is_there);
}

/// A line for people, if it takes some time.
void announce(const SurfaceJob& job, std::int64_t samples, Observer& observer) {
  constexpr double kLong = 5;  // seconds
  const std::size_t axes = job.surface.grid.dimensions();
  const double rate = job.surface.provenance.value("images_per_second", 0.0);
  const double seconds = static_cast<double>(axis_evaluations(axes)) * static_cast<double>(samples) / rate;
  if (!(rate > 0) || seconds < kLong) return;
  observer.on_note(fmt::format("curvature along each axis at the centre: {} evaluations on {} {}s, about {}",
                               axis_evaluations(axes), samples, sample_word(job.surface), duration_text(seconds)));
}

}  // namespace

bool lacks_axis_curvatures(const SurfaceJob& job) {
  const auto shard = shard_of(job.surface.settings);
  if (!job.axes || (shard && shard->number != 1)) return false;
  return !has_steps(job) || (job.axes->autodiff && !has_autodiff(job.surface.axis_curvatures));
}

bool find_axis_curvatures(SurfaceJob& job, const Engine& engine, std::int64_t samples, Observer& observer) {
  auto known = job.surface.axis_curvatures;
  const bool is_known = has_steps(job);
  if (is_known) samples = std::min(known.front().samples, engine.images());
  const Engine own = engine_of_axes(engine, samples);
  const auto plane = job.planes.at(0);
  const auto& stop = observer.should_stop();
  if (!is_known) {
    announce(job, samples, observer);
    nlohmann::json request{{"what", kAxesRequest}, {"samples", samples}};
    if (job.surface.levels()) request["order"] = job.surface.samples[0].indices;
    auto found = axis_curvatures(*plane, own,
                                 {.step = job.axes->step,
                                  .threads = job.threads,
                                  .stop = &stop,
                                  .ranks = job.ranks,
                                  .request = json_text(request),
                                  .on_note = [&](const std::string& text) { observer.on_note(text); }});
    if (!found) return false;
    known = std::move(*found);
  }
  const auto is_finite = [](const AxisCurvature& axis) { return std::isfinite(axis.at_step().value); };
  if (job.axes->autodiff) {
    std::optional exact = std::vector<AutodiffCurvature>(known.size());  // unknown where the loss is not finite
    if (std::any_of(known.begin(), known.end(), is_finite)) {
      exact = job.axes->autodiff(*plane, own.samples().first, stop);
    }
    if (!exact) return false;
    for (std::size_t axis = 0; axis < known.size(); ++axis) known[axis].autodiff = exact->at(axis);
  }
  job.surface.axis_curvatures = std::move(known);
  return true;
}

void serve_axis_curvatures(const SurfaceJob& job, const Engine& engine, std::int64_t samples) {
  const Engine own = engine_of_axes(engine, samples);
  const auto plane = job.planes.at(0);
  serve(axis_work(*plane, own, job.axes ? job.axes->step : 0, job.threads), *job.ranks);
}

std::int64_t axis_samples(const Surface& surface, std::int64_t cost) {
  constexpr double kShare = 0.03;
  constexpr std::int64_t kFewest = 32;
  const auto evaluations = static_cast<double>(axis_evaluations(surface.grid.dimensions()));
  const auto affordable = static_cast<std::int64_t>(kShare * static_cast<double>(cost) / evaluations);
  return std::min(std::max(affordable, kFewest), static_cast<std::int64_t>(surface.samples[0].indices.size()));
}

}  // namespace lossatlas
