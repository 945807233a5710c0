#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "cli/command.h"
#include "cli/inputs.h"
#include "cli/landscape_words.h"
#include "cli/run_job.h"
#include "jobs/jobs.h"

namespace lossatlas {
namespace {

struct CurvatureWords {
  CurvatureRequest request;
  std::string by;
  std::filesystem::path out;                // "" for the default
  std::vector<CLI::Option*> of_table = {};  // what only tables read
  std::string progress = "line";
  RankWords ranks;
};

constexpr std::int64_t kMostPairs = 100'000, kMostProbes = 1'000'000;

void add_curvature_options(CLI::App& command, CurvatureWords& words) {
  CurvatureRequest& request = words.request;
  command.option_defaults()->group("The curvature");
  command.add_option("--operator", request.matrix, "hessian or gauss-newton")->type_name("NAME")->capture_default_str();
  command.add_option("--top", request.largest, "largest eigenvalues, with their vectors")
      ->transform(whole_number(0, kMostPairs))
      ->capture_default_str();
  command.add_option("--low", request.smallest, "smallest eigenvalues, the most negative ones")
      ->transform(whole_number(0, kMostPairs))
      ->capture_default_str();
  command
      .add_option("--tolerance", request.tolerance,
                  "an eigenpair has converged when ‖Hv − λv‖ is below this times |λ|, or |λ|max / 100")
      ->check(above_zero())
      ->capture_default_str();
  command.add_option("--most-products", request.most_products, "products for the eigenvalues, at most")
      ->transform(whole_number(1, kMostProbes))
      ->capture_default_str();
  command.add_option("--trace", request.trace_probes, "random probes for the trace; 0: no trace")
      ->transform(whole_number(0, kMostProbes))
      ->capture_default_str();
  command.add_option("--by", words.by, "also the trace of each module, and the diagonal")
      ->check(CLI::IsMember({"module"}))
      ->type_name("module");
  command
      .add_option("--density", request.density_probes,
                  "random probes for the density of eigenvalues, as 8; 0: no density")
      ->transform(whole_number(0, kMostProbes))
      ->capture_default_str();
  command.add_option("--density-steps", request.density_steps, "products of each of these probes")
      ->transform(whole_number(2, 1000))
      ->capture_default_str();
  command
      .add_option("--threshold", request.threshold,
                  "with --density: eigenvalues above this, and below its negative, are counted")
      ->check(not_negative())
      ->capture_default_str();
  command
      .add_option("--parameters", request.parameters,
                  "patterns of the parameters that count, as in layer4.*,fc.*; others are constants (default: all that "
                  "are trained)")
      ->delimiter(',')
      ->type_name("PATTERN");
  command
      .add_option("--scale-curvature", request.scale_probes,
                  "random probes for the trace at scale h, by forward passes alone; 0: none")
      ->transform(whole_number(0, kMostProbes))
      ->capture_default_str();
  command
      .add_option(
          "--step", request.landscape.step,
          "that h: the loss is evaluated at θ ± h v, v random signs (default: such that ‖h v‖ = 0.03 ‖θ‖, θ all "
          "parameters)")
      ->check(above_zero())
      ->type_name("H");
  command.add_option("--seed", request.seed, "decides the first vector and the probes")
      ->transform(whole_number())
      ->capture_default_str();
}

/// Of several checkpoints.
void add_table_options(CLI::App& command, CurvatureWords& words) {
  CurvatureRequest& request = words.request;
  command.option_defaults()->group("A table of several checkpoints");
  command
      .add_option(
          "--run", request.run,
          "a row for each checkpoint of a run: a folder of train, or files and patterns with commas between them")
      ->type_name("DIR");
  command.add_option("--every", request.every, "with --run: every so many checkpoints, and the last")
      ->transform(whole_number(1, 1'000'000))
      ->type_name("N")
      ->capture_default_str();
  command.add_option("--csv", request.csv, "also write the table as text")->type_name("FILE.csv");
  words.of_table.push_back(
      command
          .add_option("--rho", request.rho, "how far SAM's sharpness goes along the gradient, in length of parameters")
          ->check(above_zero())
          ->type_name("X")
          ->capture_default_str());
  words.of_table.push_back(
      command
          .add_option(
              "--sigma", request.sigma,
              "how far expected sharpness goes along filter-normalized directions: 0.05 moves each filter by 5 %")
          ->check(above_zero())
          ->type_name("X")
          ->capture_default_str());
  words.of_table.push_back(
      command.add_option("--draws", request.draws, "random directions of expected sharpness; 0: none")
          ->transform(whole_number(0, 1'000'000))
          ->type_name("N")
          ->capture_default_str());
}

/// Device, batch, threads; output.
void add_speed_and_output(CLI::App& command, CurvatureWords& words) {
  LandscapeRequest& request = words.request.landscape;
  command.option_defaults()->group("Speed");
  command
      .add_option("--batch-size", request.batch_size,
                  "images that each thread differentiates at a time (default: 32, or the problem's if that is less)")
      ->transform(whole_number(1, 1'000'000));
  command.add_option("--device", request.device, "cpu, cuda or cuda:N")->capture_default_str();
  command.add_option("--threads", request.threads, "batches at a time (default: all processors)")
      ->transform(whole_number(1, 1024));
  command.option_defaults()->group("Output");
  command
      .add_option("--out", words.out,
                  "the file to write (default: outputs/curvature.h5, a table's outputs/sharpness.h5)")
      ->type_name("FILE.h5");
  command
      .add_option("--save-directions", words.request.save_directions,
                  "also write the eigenvectors as directions for surface and line: the largest first")
      ->type_name("FILE");
  command.add_option("--progress", words.progress, "how progress is shown: line, json (for programs) or none")
      ->capture_default_str();
  command.add_option("--log", request.log, "add messages and progress, with times, to this file")->type_name("FILE");
  command.add_flag("--resume", request.resume, "continue --out if it exists");
  command.add_flag("--force", request.force,
                   "replace an existing --out; with --resume: continue even if instruction set or LibTorch differ");
}

void add_options(CLI::App& command, CurvatureWords& words) {
  LandscapeRequest& request = words.request.landscape;
  command.option_defaults()->group("What is evaluated");
  add_problem(command, request);
  command
      .add_option(
          "--checkpoint", words.request.checkpoints,
          "the parameters: .pt, .pth, .safetensors, TorchScript, torch.export (.pt2), or a run folder of train: "
          "its last epoch; given several times, a table of all (default: the problem's own)")
      ->type_name("FILE|RUN")
      ->take_all()
      ->allow_extra_args(false);
  add_network_and_data(command, request);
  add_samples(command, request, true, "1000, or all if there are fewer");
  command.add_option(
      "--loss", request.loss,
      "cross-entropy, or mse: the squared error to the one-hot label, averaged over classes (default: cross-entropy)");
  add_statistics(command, request);
  add_curvature_options(command, words);
  add_table_options(command, words);
  add_speed_and_output(command, words);
  add_ranks(command, request, words.ranks);
}

CurvatureRequest request_of(const CurvatureWords& words) {
  CurvatureRequest request = words.request;
  if (request.is_table()) request.landscape.out = "outputs/sharpness.h5";
  for (const CLI::Option* option : words.of_table) {
    if (!request.is_table() && option->count() > 0) {
      throw UsageError("{}: is of a table: requires --run, --csv or several --checkpoint", option->get_name());
    }
  }
  if (!words.out.empty()) request.landscape.out = words.out;
  request.landscape.out = real_file(request.landscape.out);
  request.by_module = !words.by.empty();
  if (request.by_module && request.trace_probes == 0) throw UsageError("--by module: requires --trace above 0");
  return request;
}

}  // namespace

void add_curvature(CLI::App& app, CommandContext& context) {
  auto* command =
      app.add_subcommand("curvature", "Eigenvalues, trace and density of the loss's Hessian at a checkpoint");
  const auto words = std::make_shared<CurvatureWords>();
  add_options(*command, *words);
  run_when_called(*command, words, request_of, context);
}

}  // namespace lossatlas
