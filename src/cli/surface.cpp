#include <memory>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "cli/command.h"
#include "cli/inputs.h"
#include "cli/landscape_words.h"
#include "cli/plane_words.h"
#include "cli/run_job.h"
#include "cli/words.h"
#include "jobs/jobs.h"

namespace lossatlas {
namespace {

struct SurfaceWords {
  SurfaceRequest request;
  PlaneWords plane;
  std::string grid = "51x51", x, y;  // ranges: "" for the default
  std::string progress = "line";
};

void add_options(CLI::App& command, SurfaceWords& words) {
  SurfaceRequest& request = words.request;
  add_inputs(command, request.landscape);
  command.option_defaults()->group("The plane");
  command.add_option("--grid", words.grid, "points along x and y; 51 is 51x51")->capture_default_str();
  const std::string ranges = " (default: -1:1; through checkpoints: what holds them)";
  command.add_option("--x", words.x, "range along the first direction" + ranges)->type_name("LOW:HIGH");
  command.add_option("--y", words.y, "range along the second direction" + ranges)->type_name("LOW:HIGH");
  words.plane.add_plane_to(command);
  words.plane.add_directions_to(command);
  add_values(command, request.landscape);
  command.option_defaults()->group("Speed");
  command
      .add_option("--tolerance", request.tolerance,
                  "evaluate no more than keeps the error of log loss below this part of its range, as in 0.01")
      ->check(CLI::Range(1e-4, 0.5));
  command.add_option("--budget", request.budget, "image evaluations at most; points between are reconstructed")
      ->transform(whole_number(1, kMostCounted));
  add_running(command, request.landscape, words.progress);
  add_going_on(command, request.landscape);
}

SurfaceRequest request_of(const SurfaceWords& words) {
  SurfaceRequest request = words.request;
  request.landscape.out = real_file(request.landscape.out);
  std::tie(request.grid[0], request.grid[1]) = parse_grid(words.grid);
  request.plane = words.plane.request();
  request.x = parse_range("--x", words.x, request.grid[0]);
  request.y = parse_range("--y", words.y, request.grid[1]);
  return request;
}

}  // namespace

void add_surface(CLI::App& app, CommandContext& context) {
  auto* command = app.add_subcommand("surface", "Evaluate the loss over a grid around a checkpoint");
  const auto words = std::make_shared<SurfaceWords>();
  add_options(*command, *words);
  command->callback([words, &context] {
    const auto style = progress_style_of(words->progress);
    const SurfaceRequest request = request_of(*words);
    const auto job = prepare(request, caller_of(context, request.landscape.resume));
    context.status = run_job(job, style, request.landscape.log);
  });
}

}  // namespace lossatlas
