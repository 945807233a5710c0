#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "evaluation/device.h"
#include "jobs/inputs.h"
#include "jobs/jobs.h"
#include "jobs/landscape_run.h"
#include "jobs/planes.h"
#include "jobs/runs_plane.h"

namespace lossatlas {
namespace {

using nlohmann::json;

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
  const auto axis = [&](const std::optional<Axis>& asked, std::size_t points, char name) -> std::optional<Axis> {
    if (asked || !has_default) return asked;
    if (points > 1) return Axis{-1, 1, points};
    throw UsageError("`grid` {}x{}: one point along {} requires its coordinate, as in `{}` 0:0", request.columns,
                     request.rows, name, name);
  };
  checked.request.x = axis(request.x, request.columns, 'x');
  checked.request.y = axis(request.y, request.rows, 'y');
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
  const Axis x = request.x ? *request.x : held(&MarkedPoint::x, &Projected::x, request.columns);
  const Axis y = request.y ? *request.y : held(&MarkedPoint::y, &Projected::y, request.rows);
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

json settings_of(const SurfaceRequest& request, const Surface& surface) {
  return {{"repeat", request.plane.repeat},
          {"levels", request.in_levels() ? json(surface.levels) : json(nullptr)},
          {"subsets", request.in_levels() ? json("balanced in strata") : json(nullptr)},
          {"tolerance", request.tolerance > 0 ? json(request.tolerance) : json(nullptr)},
          {"budget", request.budget > 0 ? json(request.budget) : json(nullptr)}};
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
  empty.settings = settings_of(request, empty);
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
