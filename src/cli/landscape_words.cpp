#include "cli/landscape_words.h"

namespace lossatlas {

void LandscapeWords::add_inputs_to(CLI::App& command) {
  command.option_defaults()->group("What is evaluated");
  command
      .add_option("--checkpoint", checkpoint,
                  "parameters: .pt, .pth, .safetensors, TorchScript, or a run folder: its last epoch")
      ->type_name("FILE|RUN");
  add_network_to(command);
}

void LandscapeWords::add_network_to(CLI::App& command) {
  network.add_to(command, false);
  data.add_to(command);
}

void LandscapeWords::add_values_to(CLI::App& command) {
  command.option_defaults()->group("Data");
  command.add_option("--split", split, "train, test or both")
      ->check(CLI::IsMember({"train", "test", "both"}))
      ->capture_default_str();
  command.add_option("--samples", samples, "images of the split, a stratified sample (default: all)")
      ->transform(whole_number(1, kMostCounted));
  command.add_option("--sample-seed", sample_seed, "decides which images")
      ->transform(whole_number())
      ->capture_default_str();
  command.option_defaults()->group("Values");
  command.add_option("--loss", loss, "cross-entropy or mse")->capture_default_str();
  command.add_flag("--class-loss", extras.class_losses, "also the loss over the images of each class");
  command.add_flag("--top5", extras.top5, "also the accuracy among the five largest logits");
  command.add_option("--l2", extras.weight_decay, "also the L2 term of this weight decay λ: λ/2 ‖θ‖²")
      ->check(above_zero())
      ->type_name("λ");
  command
      .add_option("--bn", batch_norm,
                  "batch-norm statistics: stored, or recalibrate: estimated anew at each point (default: recalibrate "
                  "between networks, else stored)")
      ->check(CLI::IsMember({"stored", "recalibrate"}));
  command
      .add_option("--bn-images", batch_norm_images,
                  "training images for --bn recalibrate (default: 1000, or all where there are fewer)")
      ->transform(whole_number(2, 1'000'000'000));
}

void LandscapeWords::add_running_to(CLI::App& command) {
  command.option_defaults()->group("Speed");
  auto* batch = command.add_option("--batch-size", batch_size, "images in one forward pass")
                    ->transform(whole_number(1, 1'000'000));
  if (batch_size > 0) {
    batch->capture_default_str();
  } else {
    batch->description("images in one forward pass (default: 128; on CUDA with tf32 or bf16 1024)");
  }
  command.add_option("--device", device, "cpu, cuda or cuda:N")->capture_default_str();
  command.add_option("--engine", engine, "auto, eager (LibTorch) or fused (kernels of our own; on CUDA cuDNN's)")
      ->capture_default_str();
  command.add_option("--dtype", dtype, "what is multiplied (fused engine): fp32, tf32 (CUDA) or bf16 (CUDA, or AMX)")
      ->capture_default_str();
  command
      .add_option("--instruction-set", instruction_set,
                  "of the fused engine on the CPU: auto, amx, avx512, avx2, portable")
      ->capture_default_str();
  command.add_option("--threads", threads, "points evaluated at a time (default: all processors)")
      ->transform(whole_number(1, 1024));
  command.option_defaults()->group("Output");
  command.add_option("--out", out, "the file to write")->capture_default_str();
  command.add_option("--progress", progress, "line, json (for programs) or none")->capture_default_str();
  command.add_option("--log", log, "add messages and progress, with times, to this file")->type_name("FILE");
}

void LandscapeWords::add_going_on_to(CLI::App& command) {
  command.option_defaults()->group("Output");
  command.add_flag("--resume", resume, "go on with --out, if it is there");
  command.add_flag("--join", join, "share the work with the process that computes --out");
  command.add_flag(
      "--force", force,
      "replace an existing --out; with --resume: go on though engine, instruction set, batch size or LibTorch differ");
}

namespace {

/// The matrix units of a CUDA device want more work at a time.
std::int64_t default_batch_size(const std::string& device, Precision precision) {
  return device == "cpu" || precision == Precision::fp32 ? kDefaultBatch : 1024;
}

}  // namespace

LandscapeOptions check(const LandscapeWords& words) {
  const bool both = words.split == "both";
  const Arithmetic arithmetic = parse_arithmetic(words.instruction_set, words.dtype, words.device);
  return {words.split == "test" ? Split::test : Split::train,
          both ? std::optional(Split::test) : std::nullopt,
          loss_function_of(words.loss),
          engine_of(words.engine),
          arithmetic,
          words.batch_size > 0 ? words.batch_size : default_batch_size(words.device, arithmetic.precision),
          progress_style_of(words.progress)};
}

}  // namespace lossatlas
