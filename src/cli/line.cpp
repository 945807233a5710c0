#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "cli/command.h"
#include "cli/inputs.h"
#include "cli/landscape_words.h"
#include "cli/plane_words.h"
#include "cli/run_job.h"
#include "cli/shard.h"
#include "cli/words.h"
#include "jobs/jobs.h"

namespace lossatlas {
namespace {

struct LineWords {
  LineRequest request;
  PlaneWords direction;
  std::string x;  // "" for the default
  std::string progress = "line";
  RankWords ranks;
};

void add_options(CLI::App& command, LineWords& words) {
  LineRequest& request = words.request;
  add_inputs(command, request.landscape);
  command.option_defaults()->group("The line");
  command.add_option("--to", request.to, "a second checkpoint: the line from the first, at 0, through it, at 1")
      ->type_name("FILE|RUN");
  command
      .add_option("--x", words.x,
                  "range along the direction (default: -1:1; with --to the one nearest to -0.5:1.5 that has the "
                  "checkpoints, 0 and 1, among its points)")
      ->type_name("LOW:HIGH");
  command.add_option("--points", request.points, "points on the line (default: 51; with --to 61)")
      ->transform(whole_number(1, 1'000'000));
  command.add_option("--lines", request.lines, "random directions, each with its line")
      ->transform(whole_number(1, 1000))
      ->capture_default_str();
  command.option_defaults()->group("Its direction");
  words.direction.add_source_of_line_to(command);
  words.direction.add_directions_to(command);
  add_values(command, request.landscape);
  add_axis_curvature(command, request.landscape);
  add_running(command, request.landscape, words.progress);
  add_going_on(command, request.landscape);
  add_shard(command, request.landscape);
  add_ranks(command, request.landscape, words.ranks);
}

LineRequest request_of(const LineWords& words) {
  LineRequest request = words.request;
  request.landscape.out = real_file(request.landscape.out);
  const bool has_end = !request.to.empty(), has_file = words.direction.has_file();
  if (has_end && has_file) throw UsageError("--to: cannot be used with --directions");
  request.direction = words.direction.request(has_end);
  request.x = parse_range("--x", words.x, points_of(request));
  return request;
}

}  // namespace

void add_line(CLI::App& app, CommandContext& context) {
  auto* command = app.add_subcommand("line", "Evaluate the loss along a line through a checkpoint");
  const auto words = std::make_shared<LineWords>();
  add_options(*command, *words);
  run_when_called(
      *command, words, [](const auto& of) { return request_of(of); }, context);
}

}  // namespace lossatlas
