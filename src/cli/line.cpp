#include <cmath>
#include <limits>
#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "cli/command.h"
#include "cli/landscape_inputs.h"
#include "cli/landscape_run.h"
#include "cli/landscape_words.h"
#include "cli/plane_words.h"
#include "evaluation/device.h"

namespace lossatlas {
namespace {

constexpr std::size_t kPoints = 51, kPointsBetween = 61;  // 61 from -0.5 to 1.5: both checkpoints are among them
constexpr double kBeyond = 0.5;                           // of the way between two checkpoints, on either side

struct LineWords {
  LandscapeWords landscape;
  PlaneWords direction;
  std::filesystem::path to;
  std::string x;           // "" for the default
  std::size_t points = 0;  // likewise
  std::size_t lines = 1;
};

void add_options(CLI::App& command, LineWords& words) {
  words.landscape.out = "outputs/line.h5";
  words.landscape.split = "both";
  words.landscape.add_inputs_to(command);
  command.option_defaults()->group("The line");
  command.add_option("--to", words.to, "a second checkpoint: the line from the first through it")
      ->type_name("FILE|RUN");
  command
      .add_option("--x", words.x,
                  "range along the direction (default: -1:1; with --to the one nearest to -0.5:1.5 that has the "
                  "checkpoints, 0 and 1, among its points)")
      ->type_name("LOW:HIGH");
  command.add_option("--points", words.points, "points on the line (default: 51; with --to 61)")
      ->transform(whole_number(1, 1'000'000));
  command.add_option("--lines", words.lines, "random directions, each with its line")
      ->transform(whole_number(1, 1000))
      ->capture_default_str();
  words.direction.add_directions_to(command);
  words.landscape.add_values_to(command);
  words.landscape.add_running_to(command);
  words.landscape.add_going_on_to(command);
}

/// The range nearest to -0.5:1.5 on which 0 and 1 are points, of two or more.
Axis axis_between(std::size_t points) {
  Axis best;
  double nearest = std::numeric_limits<double>::infinity();
  for (std::size_t between = points - 1; between > 0; --between) {  // steps from 0 to 1; of two as near, the finer
    const std::size_t beyond = points - 1 - between, before = beyond / 2, after = beyond - before;
    const auto way = [&](std::size_t steps) { return static_cast<double>(steps) / static_cast<double>(between); };
    const double distance = std::hypot(way(before) - kBeyond, way(after) - kBeyond);
    if (distance >= nearest) continue;
    nearest = distance;
    best = {0 - way(before), way(between + after), points};
  }
  return best;
}

/// Throws UsageError for a range that does not hold its points.
Axis axis_of(const LineWords& words) {
  const bool has_end = !words.to.empty();
  const std::size_t points = words.points > 0 ? words.points : has_end ? kPointsBetween : kPoints;
  if (!words.x.empty()) return parse_axis("--x", words.x, points);
  if (points == 1) throw UsageError("--points 1: one point requires its coordinate, as in --x 0:0");
  return has_end ? axis_between(points) : Axis{-1, 1, points};
}

/// The words that need no file to be checked.
struct CheckedLine {
  LandscapeOptions landscape;
  PlaneOptions direction;
  Axis x;
};

CheckedLine check(const LineWords& words) {
  CheckedLine checked{check(words.landscape), check(words.direction), {}};
  const bool has_end = !words.to.empty(), has_file = !words.direction.directions.empty();
  if (has_end && has_file) throw UsageError("--to: cannot be used with --directions");
  if (words.lines > 1 && (has_end || has_file || !words.direction.save_directions.empty())) {
    throw UsageError("--lines {}: draws its directions; goes with neither --to nor a file of directions", words.lines);
  }
  if (has_end) {
    refuse_words_of_random(words.direction);
    checked.direction.source = PlaneSource::points;
    checked.direction.files = {words.to};
    checked.landscape.is_between_networks = true;
  }
  checked.x = axis_of(words);
  return checked;
}

int line(LineWords& words, const CommandContext& context) {
  CheckedLine checked = check(words);
  LandscapeWords& landscape = words.landscape;
  if (landscape.checkpoint.empty()) {
    throw UsageError("--checkpoint is required: a file, or a run folder for its last epoch");
  }
  landscape.checkpoint = checkpoint_of(landscape.checkpoint, landscape.notes);
  if (!words.to.empty()) checked.direction.files = {checkpoint_of(words.to, landscape.notes)};
  check_files(landscape, words.direction.save_directions, checked.direction.files);
  return with_report(landscape, checked.landscape, [&](Report& report) {
    const auto device = open_device(landscape.device);
    const LandscapeInputs inputs = read_inputs(landscape, checked.landscape, landscape.checkpoint);
    check_writable(landscape.out);
    const ChosenPlane plane = choose_plane(checked.direction, 1, inputs, sums_of(landscape, checked.landscape));
    const Engine engine = make_engine(landscape, checked.landscape, inputs, device);
    const LandscapeOptions& options = checked.landscape;
    Surface empty(checked.x, {0, 0, 1}, options.split,
                  names_of(landscape.extras, options.split, inputs.spec.classes, options.second), words.lines);
    empty.kind = SurfaceKind::line;
    empty.settings = {{"repeat", words.lines}};
    return run_landscape({landscape, options, inputs, engine, plane, words.direction.save_directions, std::move(empty)},
                         context, report);
  });
}

}  // namespace

void add_line(CLI::App& app, CommandContext& context) {
  auto* command = app.add_subcommand("line", "Evaluate the loss along a line through a checkpoint");
  const auto words = std::make_shared<LineWords>();
  add_options(*command, *words);
  command->callback([words, &context] {
    words->landscape.out = real_file(words->landscape.out);
    context.status = line(*words, context);
  });
}

}  // namespace lossatlas
