#include "cli/landscape_words.h"

#include <fmt/format.h>

#include <map>
#include <string>
#include <vector>

#include "cli/inputs.h"

namespace lossatlas {

void add_inputs(CLI::App& command, LandscapeRequest& request) {
  command.option_defaults()->group("What is evaluated");
  add_problem(command, request);
  command
      .add_option(
          "--checkpoint", request.checkpoint,
          "the parameters: .pt, .pth, .safetensors, TorchScript, torch.export (.pt2), or a run folder of train: its "
          "last epoch (default: the problem's own)")
      ->type_name("FILE|RUN");
  add_network_and_data(command, request);
}

void add_problem(CLI::App& command, LandscapeRequest& request) {
  command
      .add_option("--problem", request.problem,
                  "your own network, loss and data: a file of Python's lossatlas.export_problem")
      ->type_name("FILE");
}

void add_network_and_data(CLI::App& command, LandscapeRequest& request) {
  command
      .add_option(
          "--key", request.key,
          "the entry of a checkpoint that holds the weights, as in model_ema; `lossatlas info F` lists them (default: "
          "the usual names)")
      ->type_name("NAME");
  add_network(command, request.network, false);
  add_data(command, request.data, false);
}

void add_samples(CLI::App& command, LandscapeRequest& request, bool one_split, const std::string& default_samples) {
  command.option_defaults()->group("Data");
  std::vector<std::string> splits{"train", "test"};
  if (!one_split) splits.emplace_back("both");
  command
      .add_option("--split", request.split,
                  one_split ? "which images: train or test" : "which images: train, test or both")
      ->check(CLI::IsMember(splits))
      ->capture_default_str();
  command
      .add_option("--samples", request.samples,
                  fmt::format("a stratified subset of N images{}, or all (default: {})",
                              one_split ? "" : "; with both, N of each split", default_samples))
      ->transform(whole_number_or("all", 0, 1, kMostCounted))
      ->type_name("N|all");
  command.add_option("--sample-seed", request.sample_seed, "decides the subset")
      ->transform(whole_number())
      ->capture_default_str();
}

void add_values(CLI::App& command, LandscapeRequest& request) {
  add_samples(command, request, false, "all");
  command.option_defaults()->group("Values");
  command.add_option(
      "--loss", request.loss,
      "cross-entropy, or mse: the squared error to the one-hot label, averaged over classes (default: cross-entropy)");
  command.add_flag("--class-loss", request.extras.class_losses, "also the loss over the images of each class");
  command.add_flag("--top5", request.extras.top5, "also the accuracy among the five largest logits");
  command.add_option("--l2", request.extras.weight_decay, "also the L2 term of this weight decay λ: λ/2 ‖θ‖²")
      ->check(above_zero())
      ->type_name("λ");
  add_statistics(command, request);
}

void add_statistics(CLI::App& command, LandscapeRequest& request) {
  command
      .add_option(
          "--bn", request.batch_norm,
          "batch-norm statistics: stored, or recalibrate: estimated again at each point (default: stored around one "
          "network, recalibrate between networks)")
      ->check(CLI::IsMember({"stored", "recalibrate"}));
  command
      .add_option("--bn-images", request.batch_norm_images,
                  "training images from which recalibrate estimates them (default: 1000, or all if there are fewer)")
      ->transform(whole_number(2, 1'000'000'000));
}

void add_axis_curvature(CLI::App& command, LandscapeRequest& request) {
  command.option_defaults()->group("Curvature at the centre");
  command.add_flag("--curvature", request.curvature,
                   "along each axis also dᵀHd, the second derivative by automatic differentiation; of a plane also the "
                   "extreme eigenvalues of the Hessian at each point");
  command
      .add_option("--step", request.step,
                  "scale h of the curvature along each axis, D(h) = [L(h d) − 2 L(0) + L(−h d)] / h² (default: such "
                  "that ‖h d‖ = 0.03 ‖θ‖, θ all parameters at the centre)")
      ->check(above_zero())
      ->type_name("H");
}

void add_running(CLI::App& command, LandscapeRequest& request, std::string& progress) {
  command.option_defaults()->group("Speed");
  auto* batch = command.add_option("--batch-size", request.batch_size, "images in one forward pass")
                    ->transform(whole_number(1, 1'000'000));
  if (request.batch_size > 0) {
    batch->capture_default_str();
  } else {
    batch->description("images in one forward pass (default: the problem's, else 128; on CUDA with tf32 or bf16 1024)");
  }
  command.add_option("--device", request.device, "cpu, cuda or cuda:N")->capture_default_str();
  command
      .add_option("--engine", request.engine,
                  "auto, eager (LibTorch) or fused (kernels of our own; on CUDA those of cuDNN)")
      ->capture_default_str();
  command
      .add_option("--dtype", request.dtype,
                  "precision of products: fp32, tf32 (CUDA) or bf16 (CUDA, or AMX), in the fused engine")
      ->capture_default_str();
  command
      .add_option("--instruction-set", request.instruction_set,
                  "of the fused engine on the CPU: auto, amx, avx512, avx2 or portable")
      ->capture_default_str();
  command.add_option("--threads", request.threads, "points evaluated at a time (default: all processors)")
      ->transform(whole_number(1, 1024));
  command.option_defaults()->group("Output");
  command.add_option("--out", request.out, "the file to write")->type_name("FILE.h5")->capture_default_str();
  command.add_option("--progress", progress, "how progress is shown: line, json (for programs) or none")
      ->capture_default_str();
  command.add_option("--log", request.log, "add messages and progress, with times, to this file")->type_name("FILE");
}

void add_going_on(CLI::App& command, LandscapeRequest& request) {
  command.option_defaults()->group("Output");
  command.add_flag("--resume", request.resume, "continue --out if it exists");
  command.add_flag("--force", request.force,
                   "replace an existing --out; with --resume: continue even if engine, instruction set, batch size or "
                   "LibTorch differ");
}

void add_ranks(CLI::App& command, LandscapeRequest& request, RankWords& words) {
  command.option_defaults()->group("With mpirun or srun");
  command.add_flag("--broadcast", request.broadcast,
                   "rank 0 reads all inputs and sends them to the others, which need not see its files");
  const std::map<std::string, double> units{{"s", 1}, {"min", 60}, {"h", 3600}};
  command
      .add_option("--rank-timeout", words.timeout,
                  "end the run when a rank has been silent for so long, as in 90s, 10min or 1h (default: 10min)")
      ->transform(CLI::AsNumberWithUnit(units, CLI::AsNumberWithUnit::CASE_SENSITIVE))
      ->check(CLI::Range(1.0, 1e6))
      ->type_name("TIME");
}

}  // namespace lossatlas
