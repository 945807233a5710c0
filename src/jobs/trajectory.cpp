#include <algorithm>
#include <limits>
#include <optional>

#include "base/error.h"
#include "base/stopwatch.h"
#include "evaluation/device.h"
#include "jobs/batch_note.h"
#include "jobs/inputs.h"
#include "jobs/jobs.h"
#include "jobs/landscape_run.h"
#include "jobs/planes.h"
#include "jobs/rank_run.h"
#include "jobs/run_files.h"
#include "jobs/runs_plane.h"
#include "jobs/shard.h"
#include "landscape/path_sweep.h"
#include "landscape/projection_file.h"
#include "landscape/sweep_progress.h"
#include "surface/surface_file.h"

namespace lossatlas {
namespace {

/// What was checked without reading a checkpoint.
struct CheckedTrajectory {
  TrajectoryRequest request;
  LandscapeOptions landscape;
  ProjectionRule projection;
  std::optional<DirectionType> type;
  std::vector<RunFiles> runs;
};

CheckedTrajectory check(const TrajectoryRequest& request) {
  CheckedTrajectory checked{request, check(request.landscape), projection_rule_of(request.projection), {}, {}};
  checked.landscape.is_between_networks = true;
  if (!request.type.empty()) checked.type = direction_type_of(request.type);
  for (const std::string& run : request.runs) checked.runs.push_back(run_of_folder(run));
  for (const std::string& files : request.checkpoints) checked.runs.push_back(run_of_words("`checkpoints`", files));
  if (checked.runs.empty())
    throw UsageError("a trajectory requires a run: name it with `run`, or its files with `checkpoints`");
  check_different(checked.runs);
  return checked;
}

/// No output may fall on an existing file, on an input, or on another output.
void check_files(const TrajectoryRequest& request, const std::vector<RunFiles>& runs) {
  std::vector<std::filesystem::path> inputs{request.directions};
  for (const RunFiles& run : runs) {
    inputs.insert(inputs.end(), run.files.begin(), run.files.end());
    inputs.push_back(run.history);
  }
  const auto& projection = request.save_projection;
  if (!projection.empty())
    check_output("`save_projection`", projection, request.landscape.force || request.landscape.resume);
  check_files(request.landscape, request.save_directions, inputs, {{"`save_projection`", projection}});
}

ChosenPlane choose_plane(const TrajectoryRequest& request, const CheckedTrajectory& checked, const IndexedRuns& runs,
                         const LandscapeInputs& inputs) {
  const SumOptions sums = sums_of(request.landscape, checked.landscape);
  ChosenPlane plane;
  if (request.directions.empty()) {
    plane = plane_of_pca(runs, inputs, checked.type.value_or(DirectionType::states), checked.projection, sums);
  } else {
    PlaneOptions options;
    options.source = PlaneSource::file;
    options.files = {request.directions};
    options.type = checked.type;
    plane = choose_plane(options, 2, inputs, sums);
    plane.trajectory = paths_along(plane.directions(0), runs, inputs, checked.projection, sums);
    plane.settings.runs = identities_of(runs);
    plane.notes = runs.notes;
  }
  plane.settings.project = request.projection;
  return plane;
}

/// Each checkpoint's own values and the plane's under it, where an earlier run did not leave them. What is there is
/// written now and then.
void evaluate_paths(const TrajectoryRequest& request, const IndexedPaths& checkpoints, const Plane& plane,
                    const Engine& engine, Ranks* ranks, Observer& observer, Surface& surface,
                    const std::atomic<bool>& stop) {
  constexpr double kSaveSeconds = 10;
  if (const std::size_t missing = missing_path_values(surface); missing > 0) {
    std::size_t count = 0;
    for (const auto& run : checkpoints) count += run.size();
    observer.on_note(fmt::format("{} checkpoints: each one's own loss, and the plane's under it", count));
  }
  const Stopwatch watch;
  Stopwatch saved;
  BatchNote batch_note(engine, observer);
  SweepProgress now;
  now.lowest = std::numeric_limits<double>::infinity();
  now.highest = -now.lowest;
  PathSweepOptions options;
  options.threads = request.landscape.threads;
  options.stop = &stop;
  options.ranks = ranks;
  options.on_note = [&](const std::string& text) { observer.on_note(text); };
  options.on_value = [&](std::size_t done, std::size_t total, const Evaluation& evaluation) {
    batch_note.look();
    now.done = now.computed = done;
    now.total = total;
    now.seconds = watch.seconds();
    now.images_per_second = static_cast<double>(done) * static_cast<double>(engine.images_per_point()) / now.seconds;
    now.lowest = std::min(now.lowest, evaluation.loss);
    now.highest = std::max(now.highest, evaluation.loss);
    observer.on_progress(now, request.landscape.out);
    if (saved.seconds() < kSaveSeconds) return;
    write_surface(request.landscape.out, surface);
    saved.restart();
  };
  sweep_paths(plane, engine, checkpoints, surface, options);
  observer.on_progress_end();
  write_surface(request.landscape.out, surface);
}

Outcome run(const CheckedTrajectory& checked, const Caller& caller, Observer& observer) {
  const TrajectoryRequest& request = checked.request;
  const LandscapeRequest& landscape = request.landscape;
  const LandscapeOptions& options = checked.landscape;
  const auto device = open_device(landscape.device);
  const LandscapeInputs inputs = read_inputs(landscape, options, checked.runs.front().files.back(), device, observer);
  if (leads(caller.ranks)) check_writable(landscape.out);
  const IndexedRuns runs = index_runs(checked.runs, inputs);
  const ChosenPlane plane = choose_plane(request, checked, runs, inputs);
  if (!request.save_projection.empty() && leads(caller.ranks)) {
    check_writable(request.save_projection);
    write_projection(request.save_projection, plane.trajectory, checked.projection, plane.directions(0));
  }
  const Engine engine = make_engine(landscape, options, inputs, device);
  const Axis x =
      request.x ? axis_of(*request.x, request.grid[0]) : axis_around(plane.trajectory, &Projected::x, request.grid[0]);
  const Axis y =
      request.y ? axis_of(*request.y, request.grid[1]) : axis_around(plane.trajectory, &Projected::y, request.grid[1]);
  Surface empty({x, y}, measures_of(landscape.extras, options, inputs));
  Settings settings;
  settings.repeat = 1;
  settings.levels.emplace();
  settings.tolerance.emplace();
  settings.budget.emplace();
  IndexedPaths checkpoints;
  for (const auto& run : runs.checkpoints) {
    auto& pointers = checkpoints.emplace_back();
    for (const CheckpointIndex& checkpoint : run) pointers.push_back(&checkpoint);
  }
  const auto along = Planes(state_on(inputs.origin, engine.device()), plane.directions).at(0);
  const auto evaluate = [&](Surface& surface, const std::atomic<bool>& stop) {
    evaluate_paths(request, checkpoints, *along, engine, caller.ranks, observer, surface, stop);
  };
  const auto paths = [&] { return path_work(*along, engine, checkpoints, plane.trajectory, landscape.threads); };
  return run_landscape({.request = landscape,
                        .options = options,
                        .inputs = inputs,
                        .engine = engine,
                        .plane = plane,
                        .save_directions = request.save_directions,
                        .surface = std::move(empty),
                        .settings = settings,
                        .paths = paths,
                        .mark = evaluate},
                       caller, observer);
}

}  // namespace

Job prepare(TrajectoryRequest request, Caller caller) {
  refuse_shard(request.landscape, "a trajectory");
  CheckedTrajectory checked = check(request);
  if (leads(caller.ranks)) check_files(request, checked.runs);
  return [checked = std::move(checked), caller = std::move(caller)](Observer& observer) {
    return run(checked, caller, observer);
  };
}

}  // namespace lossatlas
