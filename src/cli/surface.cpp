#include <algorithm>
#include <array>
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

struct SurfaceWords {
  SurfaceRequest request;
  PlaneWords plane;
  std::string grid = "51";
  std::array<std::string, 4> ranges;  // of x, y, z and w; "" for the default
  std::vector<std::string> further;   // "5=LOW:HIGH"
  std::string progress = "line";
  RankWords ranks;
};

void add_options(CLI::App& command, SurfaceWords& words) {
  SurfaceRequest& request = words.request;
  add_inputs(command, request.landscape);
  command.option_defaults()->group("The grid");
  command
      .add_option("--axes", request.axes, "random directions, 2 to 8; files of three and more are drawn slice by slice")
      ->transform(whole_number(1, 100))
      ->capture_default_str();
  command.add_option("--grid", words.grid, "points along each axis, as in 51x41; 51 is the same along all")
      ->type_name("N|NxM")
      ->capture_default_str();
  const std::string ranges =
      " (default: -1:1; through checkpoints what holds them; along eigenvectors until λx²/2 is 1)";
  constexpr std::array kPlaces{"first", "second", "third", "fourth"};
  for (std::size_t k = 0; k < words.ranges.size(); ++k) {
    const std::string text =
        fmt::format("range along the {} direction{}", kPlaces[k], k < 2 ? ranges : " (default: -1:1)");
    command.add_option("--" + axis_name(k), words.ranges[k], text)->type_name("LOW:HIGH");
  }
  command
      .add_option("--axis", words.further,
                  "range along the fifth direction or a later one, as in 5=-1:1 (default: -1:1)")
      ->type_name("N=LOW:HIGH");
  command.option_defaults()->group("The plane");
  words.plane.add_plane_to(command);
  words.plane.add_directions_to(command);
  add_values(command, request.landscape);
  add_axis_curvature(command, request.landscape);
  command
      .add_option("--curvature-products", request.curvature_products,
                  "with --curvature: products of the Hessian at each point, from which its largest and smallest "
                  "eigenvalue follow (default: 10)")
      ->transform(whole_number(2, 1000))
      ->type_name("N");
  command
      .add_option("--scale-curvature", request.scale_probes,
                  "at each point also the trace of the curvature at scale h, from N random probes (default: off)")
      ->transform(whole_number(1, 1'000'000))
      ->type_name("N");
  command.option_defaults()->group("Speed");
  command
      .add_option("--tolerance", request.tolerance,
                  "reconstruct the surface of all images from fewer evaluations, up to an error of X of the range of "
                  "log loss, as in 0.01 (default: off)")
      ->check(CLI::Range(1e-4, 0.5));
  command.add_option("--budget", request.budget, "the same, with at most N image evaluations (default: off)")
      ->transform(whole_number(1, kMostCounted));
  add_running(command, request.landscape, words.progress);
  add_going_on(command, request.landscape);
  add_shard(command, request.landscape);
  add_ranks(command, request.landscape, words.ranks);
}

SurfaceRequest request_of(const SurfaceWords& words) {
  SurfaceRequest request = words.request;
  request.landscape.out = real_file(request.landscape.out);
  request.grid = parse_grid(words.grid);
  request.plane = words.plane.request();
  std::vector<std::pair<std::size_t, std::string>> ranges;
  for (std::size_t k = 0; k < words.ranges.size(); ++k) {
    if (!words.ranges[k].empty()) ranges.emplace_back(k, words.ranges[k]);
  }
  for (const std::string& word : words.further) ranges.push_back(parse_numbered_range(word));
  for (const auto& [axis, range] : ranges) {
    const bool is_named = axis < words.ranges.size();
    const std::string option = is_named ? "--" + axis_name(axis) : fmt::format("--axis {}", axis + 1);
    if (axis >= std::max(request.axes, request.grid.size())) {
      throw UsageError("{}: the surface has {} axes; ask for more with --axes", option, request.axes);
    }
    // If --grid has too few numbers, the job says so.
    const std::size_t points = axis < request.grid.size() ? request.grid[axis] : request.grid[0];
    request.ranges[axis_name(axis)] = *parse_range(option, range, points);
  }
  return request;
}

}  // namespace

void add_surface(CLI::App& app, CommandContext& context) {
  auto* command = app.add_subcommand("surface", "Evaluate the loss over a grid around a checkpoint");
  const auto words = std::make_shared<SurfaceWords>();
  add_options(*command, *words);
  run_when_called(
      *command, words, [](const auto& of) { return request_of(of); }, context);
}

}  // namespace lossatlas
