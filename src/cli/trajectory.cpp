#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "cli/command.h"
#include "cli/inputs.h"
#include "cli/landscape_words.h"
#include "cli/run_job.h"
#include "cli/shard.h"
#include "cli/words.h"
#include "jobs/jobs.h"

namespace lossatlas {
namespace {

struct TrajectoryWords {
  TrajectoryRequest request;
  std::string grid = "25x25", x, y;  // ranges: "" for what holds the paths
  std::string progress = "line";
  RankWords ranks;
};

void add_options(CLI::App& command, TrajectoryWords& words) {
  TrajectoryRequest& request = words.request;
  command.option_defaults()->group("What is evaluated");
  command
      .add_option("--run", request.runs, "a run folder, of train or lossatlas.Recorder; several runs share one plane")
      ->type_name("DIR");
  command
      .add_option(
          "--checkpoints", request.checkpoints,
          "other checkpoints of one run, in the order of its path: files separated by commas, or a quoted pattern, "
          "as in 'run/model_*.pt'")
      ->type_name("FILES");
  add_inputs(command, request.landscape);
  command.remove_option(command.get_option("--checkpoint"));
  command.option_defaults()->group("The plane");
  command.add_option("--grid", words.grid, "points along x and y")->type_name("N|NxM")->capture_default_str();
  const std::string ranges = " direction (default: all paths, with a margin of a fifth of their extent)";
  command.add_option("--x", words.x, "range along the first" + ranges)->type_name("LOW:HIGH");
  command.add_option("--y", words.y, "range along the second" + ranges)->type_name("LOW:HIGH");
  command.add_option("--project", request.projection, "how checkpoints are projected: cos, or lstsq (least squares)")
      ->capture_default_str();
  command.add_option("--dir-type", request.type,
                     "what moves: states, or weights without the batch-norm statistics (default: states)");
  command.add_option("--directions", request.directions, "project into the plane of this file's directions")
      ->type_name("FILE.h5");
  command.add_option("--save-directions", request.save_directions, "write the directions, for other tools")
      ->type_name("FILE.h5");
  command.add_option("--save-projection", request.save_projection, "write the projected paths, for other tools")
      ->type_name("FILE.h5");
  add_values(command, request.landscape);
  add_running(command, request.landscape, words.progress);
  add_going_on(command, request.landscape);
  add_shard(command, request.landscape, true);
  add_ranks(command, request.landscape, words.ranks);
}

TrajectoryRequest request_of(const TrajectoryWords& words) {
  TrajectoryRequest request = words.request;
  request.landscape.out = real_file(request.landscape.out);
  request.grid = parse_plane_grid(words.grid);
  request.x = parse_range("--x", words.x, request.grid[0]);
  request.y = parse_range("--y", words.y, request.grid[1]);
  return request;
}

}  // namespace

void add_trajectory(CLI::App& app, CommandContext& context) {
  auto* command =
      app.add_subcommand("trajectory", "Draw optimizers' paths into a plane, and evaluate the loss beneath them");
  const auto words = std::make_shared<TrajectoryWords>();
  add_options(*command, *words);
  run_when_called(
      *command, words, [](const auto& of) { return request_of(of); }, context);
}

}  // namespace lossatlas
