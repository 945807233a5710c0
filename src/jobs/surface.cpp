#include <array>
#include <cmath>

#include "base/error.h"
#include "evaluation/device.h"
#include "jobs/inputs.h"
#include "jobs/jobs.h"
#include "jobs/landscape_run.h"
#include "jobs/planes.h"
#include "jobs/runs_plane.h"

namespace lossatlas {
namespace {

/// --tolerance and --budget leave some things to plain surfaces.
void check_levels(const SurfaceRequest& request) {
  if (std::isnan(request.tolerance)) throw UsageError("`tolerance` nan: wants a number from 0.0001 to 0.5");
  if (!request.in_levels()) return;
  const char* option = request.tolerance > 0 ? "`tolerance`" : "`budget`";
  const auto refuse = [&](const char* other) { throw UsageError("{}: cannot be used with {}", option, other); };
  if (request.plane.repeat > 1) refuse("`repeat`");
  if (request.landscape.join) refuse("`join`");
  if (request.landscape.split == "both") refuse("`split` both");
  if (request.landscape.extras.class_losses) refuse("`class_loss`");
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

CheckedSurface check(SurfaceRequest request) {
  check_levels(request);
  CheckedSurface checked{request, check(request.landscape), check(request.plane), {}, {}};
  const auto source = checked.plane.source;
  const bool has_default = source != PlaneSource::points && source != PlaneSource::pca;
  checked.landscape.is_between_networks = !has_default;
  using Range = std::optional<std::array<double, 2>>;
  const auto range = [&](const Range& asked, std::size_t points, char name) -> Range {
    if (asked || !has_default) return asked;
    if (points > 1) return std::array{-1.0, 1.0};
    throw UsageError("`grid` {}x{}: one point along {} requires its coordinate, as in `{}` 0:0", request.grid[0],
                     request.grid[1], name, name);
  };
  checked.request.x = range(request.x, request.grid[0], 'x');
  checked.request.y = range(request.y, request.grid[1], 'y');
  checked.origin = take_origin(request.landscape.checkpoint, checked.plane, 2, checked.notes);
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

/// Without points. Throws UsageError where --budget does not suffice for a pilot.
Surface empty_surface(const SurfaceRequest& request, const LandscapeOptions& options, const LandscapeInputs& inputs,
                      const ChosenPlane& plane) {
  const bool has_paths = !plane.trajectory.runs.empty();
  const auto held = [&](double MarkedPoint::*of_points, std::vector<double> Projected::*of_paths, std::size_t count) {
    return has_paths ? axis_around(plane.trajectory, of_paths, count) : axis_around(plane.points, of_points, count);
  };
  const Axis x =
      request.x ? axis_of(*request.x, request.grid[0]) : held(&MarkedPoint::x, &Projected::x, request.grid[0]);
  const Axis y =
      request.y ? axis_of(*request.y, request.grid[1]) : held(&MarkedPoint::y, &Projected::y, request.grid[1]);
  const auto more = names_of(request.landscape.extras, options.split, inputs.spec.classes, options.second);
  if (!request.in_levels()) return Surface(x, y, options.split, more, request.plane.repeat);
  const auto ladder = ladder_of(static_cast<std::int64_t>(inputs.images.data->size()));
  Surface surface(x, y, options.split, {}, ladder.size());
  surface.levels = ladder;
  const std::int64_t pilot = LevelPlan(surface, ladder, {}).pilot_cost();
  if (request.budget > 0 && request.budget < pilot) {
    throw UsageError("`budget` {}: the first look alone takes {} image evaluations ({} points on all {} images)",
                     request.budget, pilot, pilot / ladder.back(), ladder.back());
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
  if (request.in_levels()) settings.levels = surface.levels;
  if (request.in_levels()) settings.subsets = std::string("balanced in strata");
  if (request.tolerance > 0) settings.tolerance = request.tolerance;
  if (request.budget > 0) settings.budget = request.budget;
  return settings;
}

Outcome run(const CheckedSurface& checked, const Caller& caller, Observer& observer) {
  const SurfaceRequest& request = checked.request;
  const LandscapeRequest& landscape = request.landscape;
  for (const std::string& note : checked.notes) observer.on_note("note: " + note);
  const auto device = open_device(landscape.device);
  const LandscapeInputs inputs = read_inputs(landscape, checked.landscape, checked.origin, request.in_levels());
  check_writable(landscape.out);
  const ChosenPlane plane = choose_plane(checked.plane, 2, inputs, sums_of(landscape, checked.landscape));
  const Engine engine = make_engine(landscape, checked.landscape, inputs, device);
  Surface empty = empty_surface(request, checked.landscape, inputs, plane);
  const Settings settings = settings_of(request, empty);
  if (request.in_levels() && inputs.recalibration) {
    observer.on_note(
        fmt::format("note: each evaluation takes {} more images for batch-norm statistics (`bn_images`), which are not "
                    "counted as image evaluations",
                    inputs.recalibration->size()));
  }
  return run_landscape({.request = landscape,
                        .options = checked.landscape,
                        .inputs = inputs,
                        .engine = engine,
                        .plane = plane,
                        .save_directions = request.plane.save_directions,
                        .surface = std::move(empty),
                        .settings = settings,
                        .goal = {request.tolerance, request.budget}},
                       caller, observer);
}

}  // namespace

Job prepare(SurfaceRequest request, Caller caller) {
  CheckedSurface checked = check(std::move(request));
  check_files(checked);
  return [checked = std::move(checked), caller = std::move(caller)](Observer& observer) {
    return run(checked, caller, observer);
  };
}

}  // namespace lossatlas
