#include <cmath>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "cli/command.h"
#include "cli/landscape_inputs.h"
#include "cli/landscape_run.h"
#include "cli/landscape_words.h"
#include "cli/path_plane.h"
#include "cli/plane_words.h"
#include "evaluation/device.h"

namespace lossatlas {
namespace {

using nlohmann::json;

struct SurfaceWords {
  LandscapeWords landscape;
  PlaneWords plane;
  std::string grid = "51x51", x, y;  // ranges: "" for the default
  double tolerance = 0;
  std::int64_t budget = 0;

  /// True where few evaluations stand for all images at every point.
  bool in_levels() const { return tolerance > 0 || budget > 0; }
};

void add_options(CLI::App& command, SurfaceWords& words) {
  words.landscape.add_inputs_to(command);
  command.option_defaults()->group("The plane");
  command.add_option("--grid", words.grid, "points along x and y; 51 is 51x51")->capture_default_str();
  const std::string ranges = " (default: -1:1; through checkpoints: what holds them)";
  command.add_option("--x", words.x, "range along the first direction" + ranges)->type_name("LOW:HIGH");
  command.add_option("--y", words.y, "range along the second direction" + ranges)->type_name("LOW:HIGH");
  words.plane.add_plane_to(command);
  words.plane.add_directions_to(command);
  words.landscape.add_values_to(command);
  command.option_defaults()->group("Speed");
  command
      .add_option("--tolerance", words.tolerance,
                  "evaluate no more than keeps the error of log loss below this part of its range, as in 0.01")
      ->check(CLI::Range(1e-4, 0.5));
  command.add_option("--budget", words.budget, "image evaluations at most; points between are reconstructed")
      ->transform(whole_number(1, kMostCounted));
  words.landscape.add_running_to(command);
  words.landscape.add_going_on_to(command);
}

/// The words that need no file to be checked.
struct CheckedSurface {
  LandscapeOptions landscape;
  PlaneOptions plane;
  std::size_t columns, rows;
  std::optional<Axis> x, y;  // where they do not follow from the plane
};

/// --tolerance and --budget leave some things to plain surfaces.
void check_levels(const SurfaceWords& words) {
  if (std::isnan(words.tolerance)) throw UsageError("--tolerance nan: wants a number from 0.0001 to 0.5");
  if (!words.in_levels()) return;
  const char* option = words.tolerance > 0 ? "--tolerance" : "--budget";
  const auto refuse = [&](const char* other) { throw UsageError("{}: cannot be used with {}", option, other); };
  if (words.plane.repeat > 1) refuse("--repeat");
  if (words.landscape.join) refuse("--join");
  if (words.landscape.split == "both") refuse("--split both");
  if (words.landscape.extras.class_losses) refuse("--class-loss");
  if (words.landscape.extras.top5) refuse("--top5");
  if (words.landscape.extras.weight_decay > 0) refuse("--l2");
}

CheckedSurface check(const SurfaceWords& words) {
  const auto [columns, rows] = parse_grid(words.grid);
  check_levels(words);
  CheckedSurface checked{check(words.landscape), check(words.plane), columns, rows, {}, {}};
  const auto source = checked.plane.source;
  const bool has_default = source != PlaneSource::points && source != PlaneSource::pca;
  checked.landscape.is_between_networks = !has_default;
  const auto axis = [&](const char* option, const std::string& range, std::size_t points) -> std::optional<Axis> {
    if (range.empty() && !has_default) return std::nullopt;
    if (range.empty() && points == 1) {
      throw UsageError("--grid {}: one point along {} requires its coordinate, as in {} 0:0", words.grid, option[2],
                       option);
    }
    return parse_axis(option, range.empty() ? "-1:1" : range, points);
  };
  checked.x = axis("--x", words.x, columns);
  checked.y = axis("--y", words.y, rows);
  return checked;
}

/// Without points. Throws UsageError where --budget does not suffice for a pilot.
Surface empty_surface(const SurfaceWords& words, const CheckedSurface& checked, const LandscapeInputs& inputs,
                      const ChosenPlane& plane) {
  const bool has_paths = !plane.trajectory.runs.empty();
  const auto held = [&](double MarkedPoint::*of_points, std::vector<double> Projected::*of_paths, std::size_t count) {
    return has_paths ? axis_around(plane.trajectory, of_paths, count) : axis_around(plane.points, of_points, count);
  };
  const Axis x = checked.x ? *checked.x : held(&MarkedPoint::x, &Projected::x, checked.columns);
  const Axis y = checked.y ? *checked.y : held(&MarkedPoint::y, &Projected::y, checked.rows);
  const LandscapeOptions& options = checked.landscape;
  const auto more = names_of(words.landscape.extras, options.split, inputs.spec.classes, options.second);
  if (!words.in_levels()) return Surface(x, y, options.split, more, words.plane.repeat);
  const auto ladder = ladder_of(static_cast<std::int64_t>(inputs.images.data->size()));
  Surface surface(x, y, options.split, {}, ladder.size());
  surface.levels = ladder;
  const std::int64_t pilot = LevelPlan(surface, ladder, {}).pilot_cost();
  if (words.budget > 0 && words.budget < pilot) {
    throw UsageError("--budget {}: the first look alone takes {} image evaluations ({} points on all {} images)",
                     words.budget, pilot, pilot / ladder.back(), ladder.back());
  }
  return surface;
}

json settings_of(const SurfaceWords& words, const Surface& surface) {
  return {{"repeat", words.plane.repeat},
          {"levels", words.in_levels() ? json(surface.levels) : json(nullptr)},
          {"subsets", words.in_levels() ? json("balanced in strata") : json(nullptr)},
          {"tolerance", words.tolerance > 0 ? json(words.tolerance) : json(nullptr)},
          {"budget", words.budget > 0 ? json(words.budget) : json(nullptr)}};
}

int surface(SurfaceWords& words, const CommandContext& context) {
  CheckedSurface checked = check(words);
  LandscapeWords& landscape = words.landscape;
  const auto origin = take_origin(landscape.checkpoint, checked.plane, 2, landscape.notes);
  auto files = checked.plane.files;
  for (const RunFiles& run : checked.plane.runs) {
    files.insert(files.end(), run.files.begin(), run.files.end());
    files.push_back(run.history);
  }
  files.push_back(origin);
  check_files(landscape, words.plane.save_directions, files);
  return with_report(landscape, checked.landscape, [&](Report& report) {
    const auto device = open_device(landscape.device);
    const LandscapeInputs inputs = read_inputs(landscape, checked.landscape, origin, words.in_levels());
    check_writable(landscape.out);
    const ChosenPlane plane = choose_plane(checked.plane, 2, inputs, sums_of(landscape, checked.landscape));
    const Engine engine = make_engine(landscape, checked.landscape, inputs, device);
    Surface empty = empty_surface(words, checked, inputs, plane);
    empty.settings = settings_of(words, empty);
    if (words.in_levels() && inputs.recalibration) {
      report.say(fmt::format(
          "note: each evaluation takes {} more images for batch-norm statistics (--bn-images), which are not "
          "counted as image evaluations",
          inputs.recalibration->size()));
    }
    return run_landscape({landscape,
                          checked.landscape,
                          inputs,
                          engine,
                          plane,
                          words.plane.save_directions,
                          std::move(empty),
                          {words.tolerance, words.budget}},
                         context, report);
  });
}

}  // namespace

void add_surface(CLI::App& app, CommandContext& context) {
  auto* command = app.add_subcommand("surface", "Evaluate the loss over a grid around a checkpoint");
  const auto words = std::make_shared<SurfaceWords>();
  add_options(*command, *words);
  command->callback([words, &context] {
    words->landscape.out = real_file(words->landscape.out);
    context.status = surface(*words, context);
  });
}

}  // namespace lossatlas
