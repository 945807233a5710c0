#include <array>
#include <cmath>

#include "base/error.h"
#include "evaluation/device.h"
#include "evaluation/probed_point.h"
#include "jobs/eigen_plane.h"
#include "jobs/inputs.h"
#include "jobs/jobs.h"
#include "jobs/landscape_run.h"
#include "jobs/level_run.h"
#include "jobs/planes.h"
#include "jobs/rank_run.h"
#include "jobs/runs_plane.h"
#include "jobs/shard.h"
#include "landscape/axis_sweep.h"

namespace lossatlas {
namespace {

/// --tolerance and --budget leave some things to plain surfaces.
void check_levels(const SurfaceRequest& request) {
  if (request.curvature_products > 0 && !request.landscape.curvature) {
    throw UsageError("`curvature_products`: requires `curvature`");
  }
  if (std::isnan(request.tolerance)) throw UsageError("`tolerance` nan: requires a number from 0.0001 to 0.5");
  if (!request.in_levels()) return;
  const char* option = request.tolerance > 0 ? "`tolerance`" : "`budget`";
  const auto refuse = [&](const std::string& other) { throw UsageError("{}: cannot be used with {}", option, other); };
  if (request.axes != 2) refuse(fmt::format("`axes` {}", request.axes));
  if (request.plane.repeat > 1) refuse("`repeat`");
  if (!request.landscape.shard.empty()) refuse("`shard`, as its next point depends on the values of earlier ones");
  if (request.landscape.split == "both") refuse("`split` both");
  if (request.landscape.extras.class_losses) refuse("`class_loss`");
  if (request.scale_probes > 0) refuse("`scale_curvature`");
  if (request.landscape.extras.top5) refuse("`top5`");
  if (request.landscape.extras.weight_decay > 0) refuse("`l2`");
}

/// What was checked without a file.
struct CheckedSurface {
  SurfaceRequest request;
  LandscapeOptions landscape;
  PlaneOptions plane;
  std::filesystem::path origin;
  std::vector<std::string> notes;
};

/// Throws UsageError for a grid of other axes than those asked for, and for one of too many points.
std::vector<std::size_t> grid_of(const SurfaceRequest& request) {
  constexpr std::size_t kMostAxes = 8;
  constexpr double kMostPoints = 1e8;
  const std::size_t axes = request.axes;
  if (axes < 2 || axes > kMostAxes) {
    throw UsageError("`axes` {}: a surface takes 2 to {}; along one direction use `lossatlas line`", axes, kMostAxes);
  }
  auto grid = request.grid;
  if (grid.size() == 1) grid.assign(axes, grid[0]);
  if (grid.size() != axes) {
    throw UsageError("`grid` {}: {} numbers, but `axes` is {}", fmt::join(grid, "x"), grid.size(), axes);
  }
  double points = 1;
  for (const std::size_t along : grid) points *= static_cast<double>(along);
  if (points > kMostPoints) {
    throw UsageError("`grid` {}: {:.3g} points, more than the {:.0e} that a surface may have", fmt::join(grid, "x"),
                     points, kMostPoints);
  }
  return grid;
}

/// All that are evaluated, of all draws of directions.
std::size_t points_of(const SurfaceRequest& request) {
  std::size_t points = request.plane.repeat;
  for (const std::size_t along : request.grid) points *= along;
  return points;
}

CheckedSurface check(SurfaceRequest request) {
  check_levels(request);
  request.grid = grid_of(request);
  take_shard(request.landscape, request.plane, points_of(request));
  CheckedSurface checked{request, check(request.landscape), check(request.plane, request.axes), {}, {}};
  const auto source = checked.plane.source;
  if (source == PlaneSource::pca && request.axes != 2) {
    throw UsageError("`axes` {}: `plane` pca has two", request.axes);
  }
  const bool is_eigen = source == PlaneSource::eigen;
  const bool has_default = source != PlaneSource::points && source != PlaneSource::pca && !is_eigen;
  checked.landscape.is_between_networks = !has_default && !is_eigen;
  auto& ranges = checked.request.ranges;
  for (std::size_t k = 0; k < request.axes && has_default; ++k) {
    if (request.grid[k] == 1 && !ranges.contains(axis_name(k))) {
      throw UsageError("`grid` {}: one point along {} requires its coordinate, as in {}{}0:0",
                       fmt::join(request.grid, "x"), axis_name(k), range_field(k), k < 4 ? " " : "=");
    }
    ranges.try_emplace(axis_name(k), std::array{-1.0, 1.0});
  }
  for (const auto& [name, range] : ranges) {
    bool is_axis = false;
    for (std::size_t k = 0; k < request.axes; ++k) is_axis = is_axis || name == axis_name(k);
    if (!is_axis) throw UsageError("a range of {}: the surface has {} axes", name, request.axes);
  }
  checked.origin = take_origin(request.landscape, checked.plane, request.axes, checked.notes);
  return checked;
}

void check_files(const CheckedSurface& checked) {
  auto files = checked.plane.files;
  for (const RunFiles& run : checked.plane.runs) {
    files.insert(files.end(), run.files.begin(), run.files.end());
    files.push_back(run.history);
  }
  files.push_back(checked.origin);
  check_files(checked.request.landscape, checked.request.plane.save_directions, files);
}

Axis axis_along(const SurfaceRequest& request, const ChosenPlane& plane, std::size_t axis) {
  const std::size_t points = request.grid[axis];
  const auto range = request.ranges.find(axis_name(axis));
  if (range != request.ranges.end()) return axis_of(range->second, points);
  if (!plane.reach.empty()) return points == 1 ? Axis{0, 0, 1} : Axis{-plane.reach[axis], plane.reach[axis], points};
  if (plane.trajectory.runs.empty()) return axis_around(plane.points, axis, points);
  return axis_around(plane.trajectory, axis == 0 ? &Projected::x : &Projected::y, points);
}

/// Without points. Throws UsageError if --budget does not suffice for a pilot.
Surface empty_surface(const SurfaceRequest& request, const LandscapeOptions& options, const LandscapeInputs& inputs,
                      const ChosenPlane& plane) {
  std::vector<Axis> axes;
  for (std::size_t k = 0; k < request.axes; ++k) axes.push_back(axis_along(request, plane, k));
  auto measures = measures_of(request.landscape.extras, options, inputs);
  if (request.scale_probes > 0) measures.push_back(measure_of(measure_name(kScaleTrace, options.split)));
  Form form = Single{};
  if (request.plane.repeat > 1) form = Repeats{request.plane.repeat};
  if (!request.in_levels()) return Surface(Grid(axes), measures, form);
  const auto ladder = ladder_of(static_cast<std::int64_t>(inputs.images.source->size()));
  if (inputs.file) std::erase_if(measures, [](const Measure& measure) { return measure.kind != "loss"; });
  Surface surface(Grid(axes), measures, Levels{ladder});
  const std::int64_t pilot = level_plan(surface, {}).pilot_cost();
  if (request.budget > 0 && request.budget < pilot) {
    throw UsageError("`budget` {0}: the first look alone takes {1} evaluations ({2} points on all {3} {4})",
                     request.budget, pilot, pilot / ladder.back(), ladder.back(), samples_word(inputs));
  }
  return surface;
}

Settings settings_of(const SurfaceRequest& request, const Surface& surface) {
  Settings settings;
  settings.repeat = request.plane.repeat;
  settings.levels.emplace();
  settings.subsets.emplace();
  settings.tolerance.emplace();
  settings.budget.emplace();
  if (request.in_levels()) settings.levels = surface.levels()->sizes;
  if (request.in_levels()) settings.subsets = std::string("balanced in strata");
  if (request.tolerance > 0) settings.tolerance = request.tolerance;
  if (request.budget > 0) settings.budget = request.budget;
  return settings;
}

/// Of the trace at scale h: the step is that of the origin at every point.
ScaleTraceProbes scale_probes(const SurfaceRequest& request, const LandscapeInputs& inputs) {
  return {request.scale_probes, ProbedPoint(inputs.origin).step(kShareOfParameters)};
}

/// Products of the eigenvalues at each point; 0 for surfaces that have no such maps, as a note says.
std::size_t map_products(const SurfaceRequest& request, Observer& observer) {
  if (!request.landscape.curvature) return 0;
  if (request.axes == 2 && request.plane.repeat == 1 && !request.in_levels() && request.landscape.shard.empty()) {
    constexpr std::size_t kUsual = 10;
    return request.curvature_products > 0 ? request.curvature_products : kUsual;
  }
  observer.on_note(
      "note: eigenvalues at each point (`curvature`) are left out: they require two axes, one draw, and a surface "
      "without `tolerance`, `budget` and `shard`");
  return 0;
}

Outcome run(const CheckedSurface& checked, const Caller& caller, Observer& observer) {
  const SurfaceRequest& request = checked.request;
  const LandscapeRequest& landscape = request.landscape;
  for (const std::string& note : checked.notes) observer.on_note("note: " + note);
  const auto device = open_device(landscape.device);
  const LandscapeInputs inputs =
      read_inputs(landscape, checked.landscape, checked.origin, device, observer, request.in_levels());
  if (leads(caller.ranks)) check_writable(landscape.out);
  std::optional<ChosenPlane> eigenvectors;
  if (checked.plane.source == PlaneSource::eigen) {
    eigenvectors = eigen_plane(checked.plane, landscape, inputs, device, caller.ranks, observer);
    if (!eigenvectors) return interrupted_before(caller, observer);
  }
  const ChosenPlane plane =
      eigenvectors ? *eigenvectors
                   : choose_plane(checked.plane, request.axes, inputs, sums_of(landscape, checked.landscape));
  Engine engine = make_engine(landscape, checked.landscape, inputs, device);
  if (request.scale_probes > 0) engine = engine.with_scale_trace(scale_probes(request, inputs));
  Surface empty = empty_surface(request, checked.landscape, inputs, plane);
  Settings settings = settings_of(request, empty);
  if (request.scale_probes > 0) {
    settings.scale_curvature = request.scale_probes;
    settings.scale_step = engine.options().scale_trace.step;
  }
  if (request.in_levels() && !engine.capabilities().per_sample) {
    throw UsageError("`tolerance`: {}, so subsets have other losses", inputs.problem->coupling());
  }
  if (request.in_levels() && inputs.recalibration) {
    observer.on_note(fmt::format(
        "note: each point takes {} more {} for batch-norm statistics (`bn_images`), which are not counted as "
        "evaluations",
        inputs.recalibration->size(), samples_word(inputs)));
  }
  return run_landscape({.request = landscape,
                        .options = checked.landscape,
                        .inputs = inputs,
                        .engine = engine,
                        .plane = plane,
                        .save_directions = request.plane.save_directions,
                        .surface = std::move(empty),
                        .settings = settings,
                        .goal = {request.tolerance, request.budget},
                        .map_products = map_products(request, observer)},
                       caller, observer);
}

}  // namespace

Job prepare(SurfaceRequest request, Caller caller) {
  CheckedSurface checked = check(std::move(request));
  if (leads(caller.ranks)) check_files(checked);
  return [checked = std::move(checked), caller = std::move(caller)](Observer& observer) {
    return run(checked, caller, observer);
  };
}

}  // namespace lossatlas
