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

struct CurveWords {
  CurveRequest request;
  std::string grid = "21x21";  // of --plane-out
  const CLI::Option* grid_given = nullptr;
  std::string progress = "line";
  RankWords ranks;
};

void add_options(CLI::App& command, CurveWords& words) {
  CurveRequest& request = words.request;
  command.option_defaults()->group("What is evaluated");
  command.add_option("--from", request.from, "the checkpoint where the curve begins")
      ->required()
      ->type_name("FILE|RUN");
  command.add_option("--to", request.to, "the checkpoint where it ends, of the same network")
      ->required()
      ->type_name("FILE|RUN");
  auto& landscape = request.landscape;
  add_problem(command, request.landscape);
  add_network_and_data(command, request.landscape);
  command.option_defaults()->group("The curve");
  command.add_option("--shape", request.shape, "of the curve: bezier or polygon")->capture_default_str();
  command.add_option("--bends", request.bends, "trained points between the ends")
      ->transform(whole_number(1, 100))
      ->capture_default_str();
  command.option_defaults()->group("Training");
  command.add_option("--epochs", request.epochs, "passes over the training images")
      ->transform(whole_number(1, 1'000'000))
      ->capture_default_str();
  command
      .add_option("--lr", request.learning_rate,
                  "learning rate of the first half of the steps; it falls to a hundredth at 90 %")
      ->check(above_zero())
      ->capture_default_str();
  command.add_option("--momentum", request.momentum, "momentum μ of SGD")
      ->check(CLI::Range(0.0, 0.999999))
      ->capture_default_str();
  command.add_option("--weight-decay", request.weight_decay, "λ: λ/2 ‖θ(t)‖² is added to the loss")
      ->check(not_negative())
      ->capture_default_str();
  command.add_flag("--augment", request.augment, "shift images by up to 4 pixels at random, and flip them");
  command
      .add_option("--seed", request.seed, "decides order, augmentation and the points of the curve that are trained")
      ->transform(whole_number())
      ->capture_default_str();
  command.option_defaults()->group("The curve");
  command.add_option("--points", request.points, "values of t from 0 to 1 at which curve and line are evaluated")
      ->transform(whole_number(2, 100'000))
      ->capture_default_str();
  command
      .add_option("--save-bends", request.save_bends,
                  "where the bends are saved: PREFIX.bend-1.pt, … (default: next to --out)")
      ->type_name("PREFIX");
  command.option_defaults()->group("The plane");
  command.add_option("--plane-out", request.plane_out, "also the surface of the plane through the ends and a bend")
      ->type_name("FILE.h5");
  words.grid_given = command.add_option("--grid", words.grid, "points of that plane along x and y")
                         ->type_name("N|NxM")
                         ->capture_default_str();
  add_values(command, request.landscape);
  add_running(command, request.landscape, words.progress);
  command.option_defaults()->group("Output");
  command.add_flag("--resume", landscape.resume, "continue --out if it exists");
  command.add_flag("--force", landscape.force, "replace an existing --out");
  add_shard(command, landscape, true);
  add_ranks(command, landscape, words.ranks);
}

CurveRequest request_of(const CurveWords& words) {
  CurveRequest request = words.request;
  request.landscape.out = real_file(request.landscape.out);
  request.plane_out = real_file(request.plane_out);
  request.grid = parse_plane_grid(words.grid);
  if (request.plane_out.empty() && words.grid_given->count() > 0) throw UsageError("--grid: is that of --plane-out");
  return request;
}

}  // namespace

void add_curve(CLI::App& app, CommandContext& context) {
  auto* command = app.add_subcommand("curve", "Train a curve of low loss between two checkpoints, and evaluate it");
  const auto words = std::make_shared<CurveWords>();
  add_options(*command, *words);
  run_when_called(
      *command, words, [](const auto& of) { return request_of(of); }, context);
}

}  // namespace lossatlas
