#include <algorithm>
#include <limits>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "base/stopwatch.h"
#include "cli/command.h"
#include "cli/landscape_inputs.h"
#include "cli/landscape_run.h"
#include "cli/landscape_words.h"
#include "cli/path_plane.h"
#include "cli/plane_words.h"
#include "cli/run_files.h"
#include "evaluation/device.h"
#include "landscape/path_sweep.h"
#include "landscape/projection_file.h"

namespace lossatlas {
namespace {

using nlohmann::json;

struct TrajectoryWords {
  LandscapeWords landscape;
  std::vector<std::string> runs, checkpoints;
  std::string grid = "25x25", x, y;      // ranges: "" for what holds the paths
  std::string projection = "cos", type;  // type: "" for the default
  std::filesystem::path directions, save_directions, save_projection;
};

void add_options(CLI::App& command, TrajectoryWords& words) {
  command.option_defaults()->group("What is evaluated");
  command.add_option("--run", words.runs, "folder of a run, as train leaves it; several go on one plane")
      ->type_name("DIR");
  command
      .add_option("--checkpoints", words.checkpoints,
                  "a run's checkpoints in the order of its path: files with commas between them, or a pattern as in "
                  "'run/model_*.pt'")
      ->type_name("FILES");
  words.landscape.out = "outputs/trajectory.h5";
  words.landscape.add_inputs_to(command);
  command.remove_option(command.get_option("--checkpoint"));
  command.option_defaults()->group("The plane");
  command.add_option("--grid", words.grid, "points along x and y; 51 is 51x51")->capture_default_str();
  const std::string ranges = " direction (default: what holds the paths, and a fifth more on either side)";
  command.add_option("--x", words.x, "range along the first" + ranges)->type_name("LOW:HIGH");
  command.add_option("--y", words.y, "range along the second" + ranges)->type_name("LOW:HIGH");
  command
      .add_option("--project", words.projection, "cos, or lstsq: least squares, where directions are not orthogonal")
      ->capture_default_str();
  command.add_option("--dir-type", words.type,
                     "what moves: states, or weights: without the batch-norm statistics (default: states)");
  command.add_option("--directions", words.directions, "project into the plane of this file's directions")
      ->type_name("FILE.h5");
  command.add_option("--save-directions", words.save_directions, "write the directions, for other tools")
      ->type_name("FILE.h5");
  command.add_option("--save-projection", words.save_projection, "write the projected paths, for other tools")
      ->type_name("FILE.h5");
  words.landscape.add_values_to(command);
  words.landscape.add_running_to(command);
  words.landscape.add_going_on_to(command);
}

/// The words, as far as they are checked without reading a checkpoint.
struct CheckedTrajectory {
  LandscapeOptions landscape;
  ProjectionRule projection;
  std::optional<DirectionType> type;
  std::size_t columns, rows;
  std::optional<Axis> x, y;
  std::vector<RunFiles> runs;
};

CheckedTrajectory check(const TrajectoryWords& words) {
  const auto [columns, rows] = parse_grid(words.grid);
  CheckedTrajectory checked{
      check(words.landscape), projection_rule_of(words.projection), {}, columns, rows, {}, {}, {}};
  checked.landscape.is_between_networks = true;
  if (!words.type.empty()) checked.type = direction_type_of(words.type);
  if (!words.x.empty()) checked.x = parse_axis("--x", words.x, columns);
  if (!words.y.empty()) checked.y = parse_axis("--y", words.y, rows);
  for (const std::string& run : words.runs) checked.runs.push_back(run_of_folder(run));
  for (const std::string& files : words.checkpoints) checked.runs.push_back(run_of_words("--checkpoints", files));
  if (checked.runs.empty())
    throw UsageError("a trajectory wants a run: name it with --run, or its files with --checkpoints");
  check_different(checked.runs);
  return checked;
}

/// No output may fall on an existing file, on an input, or on another output.
void check_files(const TrajectoryWords& words, const std::vector<RunFiles>& runs) {
  std::vector<std::filesystem::path> inputs{words.directions};
  for (const RunFiles& run : runs) {
    inputs.insert(inputs.end(), run.files.begin(), run.files.end());
    inputs.push_back(run.history);
  }
  const auto& projection = words.save_projection;
  if (!projection.empty())
    check_output("--save-projection", projection, words.landscape.force || words.landscape.goes_on());
  check_files(words.landscape, words.save_directions, inputs, {{"--save-projection", projection}});
}

ChosenPlane choose_plane(const TrajectoryWords& words, const CheckedTrajectory& checked, const IndexedRuns& runs,
                         const LandscapeInputs& inputs) {
  const SumOptions sums = sums_of(words.landscape, checked.landscape);
  ChosenPlane plane;
  if (words.directions.empty()) {
    plane = plane_of_pca(runs, inputs, checked.type.value_or(DirectionType::states), checked.projection, sums);
  } else {
    PlaneOptions options;
    options.source = PlaneSource::file;
    options.files = {words.directions};
    options.type = checked.type;
    plane = choose_plane(options, 2, inputs, sums);
    plane.trajectory = paths_along(plane.directions(0), runs, inputs, checked.projection, sums);
    plane.settings["runs"] = settings_of_runs(runs);
    plane.notes = runs.notes;
  }
  plane.settings["project"] = words.projection;
  return plane;
}

/// Each checkpoint's own values and the plane's under it, where an earlier run did not leave them. What is there is
/// written now and then.
void evaluate_paths(const TrajectoryWords& words, const IndexedRuns& runs, const ChosenPlane& chosen,
                    const LandscapeInputs& inputs, const Engine& engine, Report& report, Surface& surface,
                    const std::atomic<bool>& stop) {
  constexpr double kSaveSeconds = 10;
  const auto plane = Planes(state_on(inputs.origin, engine.device()), chosen.directions).at(0);
  std::vector<std::vector<const CheckpointIndex*>> checkpoints;
  for (const auto& run : runs.checkpoints) {
    auto& pointers = checkpoints.emplace_back();
    for (const CheckpointIndex& checkpoint : run) pointers.push_back(&checkpoint);
  }
  if (const std::size_t missing = missing_path_values(surface); missing > 0) {
    report.say(fmt::format("{} checkpoints: each one's own loss, and the plane's under it", runs.count()));
  }
  const Stopwatch watch;
  Stopwatch saved;
  SweepProgress now;
  now.lowest = std::numeric_limits<double>::infinity();
  now.highest = -now.lowest;
  PathSweepOptions options;
  options.threads = words.landscape.threads;
  options.stop = &stop;
  options.on_value = [&](std::size_t done, std::size_t total, const Evaluation& evaluation) {
    now.done = now.computed = done;
    now.total = total;
    now.seconds = watch.seconds();
    now.images_per_second = static_cast<double>(done) * static_cast<double>(engine.images_per_point()) / now.seconds;
    now.lowest = std::min(now.lowest, evaluation.loss);
    now.highest = std::max(now.highest, evaluation.loss);
    report.progress(now, words.landscape.out);
    if (saved.seconds() < kSaveSeconds) return;
    write_surface(words.landscape.out, surface);
    saved.restart();
  };
  sweep_paths(*plane, engine, checkpoints, surface, options);
  report.finish();
  write_surface(words.landscape.out, surface);
}

int trajectory(const TrajectoryWords& words, const CommandContext& context) {
  const CheckedTrajectory checked = check(words);
  const LandscapeWords& landscape = words.landscape;
  check_files(words, checked.runs);
  return with_report(landscape, checked.landscape, [&](Report& report) {
    const auto device = open_device(landscape.device);
    const LandscapeInputs inputs = read_inputs(landscape, checked.landscape, checked.runs.front().files.back());
    check_writable(landscape.out);
    const IndexedRuns runs = index_runs(checked.runs, inputs);
    const ChosenPlane plane = choose_plane(words, checked, runs, inputs);
    if (!words.save_projection.empty()) {
      check_writable(words.save_projection);
      write_projection(words.save_projection, plane.trajectory, checked.projection, plane.directions(0));
    }
    const Engine engine = make_engine(landscape, checked.landscape, inputs, device);
    const LandscapeOptions& options = checked.landscape;
    const Axis x = checked.x ? *checked.x : axis_around(plane.trajectory, &Projected::x, checked.columns);
    const Axis y = checked.y ? *checked.y : axis_around(plane.trajectory, &Projected::y, checked.rows);
    Surface empty(x, y, options.split, names_of(landscape.extras, options.split, inputs.spec.classes, options.second));
    empty.settings = {{"repeat", 1}, {"levels", nullptr}, {"tolerance", nullptr}, {"budget", nullptr}};
    LandscapeTask task{landscape, options, inputs, engine, plane, words.save_directions, std::move(empty)};
    task.mark = [&](Surface& surface, const std::atomic<bool>& stop) {
      evaluate_paths(words, runs, plane, inputs, engine, report, surface, stop);
    };
    return run_landscape(std::move(task), context, report);
  });
}

}  // namespace

void add_trajectory(CLI::App& app, CommandContext& context) {
  auto* command =
      app.add_subcommand("trajectory", "Draw optimizers' paths into a plane, and evaluate the loss beneath them");
  const auto words = std::make_shared<TrajectoryWords>();
  add_options(*command, *words);
  command->callback([words, &context] {
    words->landscape.out = real_file(words->landscape.out);
    context.status = trajectory(*words, context);
  });
}

}  // namespace lossatlas
