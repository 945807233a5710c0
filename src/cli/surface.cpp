#include <torch/utils.h>
#include <torch/version.h>

#include <array>
#include <chrono>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <memory>
#include <numeric>

#include "base/error.h"
#include "base/sha256.h"
#include "cli/command.h"
#include "cli/inputs.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/version.h"
#include "cli/words.h"
#include "evaluation/device.h"
#include "landscape/direction_file.h"
#include "landscape/sweep.h"
#include "models/registry.h"

namespace lossatlas {
namespace {

using nlohmann::json;

struct SurfaceWords {
  std::filesystem::path checkpoint;
  NetworkWords network;
  DataWords data;
  std::filesystem::path out = "outputs/surface.h5";
  std::string grid = "51x51", x = "-1:1", y = "-1:1";
  std::string normalization = "filter", ignore = "bias,bn";
  std::uint64_t seed = 0;
  std::string split = "train";
  std::int64_t samples = 0;
  std::uint64_t sample_seed = 0;
  std::string loss = "cross-entropy";
  std::int64_t batch_size = 128;
  std::filesystem::path directions, save_directions;
  std::string device = "cpu";
  std::string engine = "auto", instruction_set = "auto", dtype = "fp32";
  int threads = default_threads();
  bool force = false;
};

void add_options(CLI::App& command, SurfaceWords& words) {
  command.add_option("--checkpoint", words.checkpoint, "parameters: .pt, .pth, .safetensors or TorchScript")
      ->required()
      ->type_name("FILE");
  words.network.add_to(command, false);
  words.data.add_to(command);
  command.add_option("--out", words.out, "surface file")->capture_default_str();
  command.add_option("--grid", words.grid, "points along x and y")->capture_default_str();
  command.add_option("--x", words.x, "range along the first direction")->capture_default_str();
  command.add_option("--y", words.y, "range along the second direction")->capture_default_str();
  command.add_option("--norm", words.normalization, "filter, layer, weight, dfilter, dlayer or none")
      ->capture_default_str();
  command.add_option("--ignore", words.ignore, "one-dimensional parameters that stay: bias, bn, bias,bn or none")
      ->capture_default_str();
  command.add_option("--seed", words.seed, "decides the directions")->check(whole_number())->capture_default_str();
  command.add_option("--split", words.split, "train or test")
      ->check(CLI::IsMember({"train", "test"}))
      ->capture_default_str();
  command.add_option("--samples", words.samples, "images, a stratified sample (default: all)")->check(above_zero());
  command.add_option("--sample-seed", words.sample_seed, "decides which images")
      ->check(whole_number())
      ->capture_default_str();
  command.add_option("--loss", words.loss, "cross-entropy or mse")->capture_default_str();
  command.add_option("--batch-size", words.batch_size, "images in one forward pass")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command.add_option("--directions", words.directions, "use the directions of this file")->type_name("FILE.h5");
  command.add_option("--save-directions", words.save_directions, "write the directions, for other tools")
      ->type_name("FILE.h5");
  command.add_option("--device", words.device, "cpu, cuda or cuda:N")->capture_default_str();
  command.add_option("--engine", words.engine, "auto, eager (LibTorch) or fused (kernels of our own, CPU)")
      ->capture_default_str();
  command.add_option("--dtype", words.dtype, "fp32, or bf16: products of bfloat16 numbers (fused engine, AMX)")
      ->capture_default_str();
  command.add_option("--instruction-set", words.instruction_set, "of the fused engine: auto, amx, avx512, avx2, portable")
      ->capture_default_str();
  command.add_option("--threads", words.threads, "grid points evaluated at a time (default: all processors)")
      ->check(CLI::Range(1, 1024));
  command.add_flag("--force", words.force, "replace an existing --out");
}

/// The words that need no file to be checked.
struct Checked {
  Axis x, y;
  DirectionOptions direction;
  Split split;
  LossFunction loss;
  EngineChoice engine;
  Arithmetic arithmetic;
};

Checked check(const SurfaceWords& words) {
  const auto [columns, rows] = parse_grid(words.grid);
  return {parse_axis("--x", words.x, columns),
          parse_axis("--y", words.y, rows),
          {words.seed, normalization_of(words.normalization), ignore_of(words.ignore)},
          words.split == "train" ? Split::train : Split::test,
          loss_function_of(words.loss),
          engine_of(words.engine),
          parse_arithmetic(words.instruction_set, words.dtype)};
}

std::vector<std::int64_t> choose_samples(const SurfaceWords& words, const DataSet& data) {
  const auto all = static_cast<std::int64_t>(data.size());
  if (words.samples > all) {
    throw UsageError("--samples {}: the {} split of {} has {} images", words.samples, words.split, data.name, all);
  }
  if (words.samples > 0)
    return stratified_sample(data.labels, static_cast<std::size_t>(words.samples), words.sample_seed);
  std::vector<std::int64_t> indices(data.size());
  std::iota(indices.begin(), indices.end(), 0);
  return indices;
}

std::vector<Direction> choose_directions(const SurfaceWords& words, const Checked& checked,
                                         const std::vector<NamedTensor>& parameters) {
  if (words.directions.empty()) {
    return {random_direction(parameters, 0, checked.direction), random_direction(parameters, 1, checked.direction)};
  }
  auto directions = read_directions(words.directions, parameters);
  if (directions.size() != 2) throw Error("{}: holds one direction, a surface takes two", words.directions.string());
  return directions;
}

/// Everything that decides the values, and nothing else.
json settings_of(const SurfaceWords& words, const Checked& checked, const DataSet& data, const Engine& engine) {
  const bool random = words.directions.empty();
  json settings = settings_of(engine.options().network);
  settings.update(settings_of(data));
  settings.update({
      {"checkpoint", {{"file", words.checkpoint.filename().string()}, {"sha256", sha256_of_file(words.checkpoint)}}},
      {"split", words.split},
      {"samples", data.size()},
      {"sample_seed", words.samples > 0 ? json(words.sample_seed) : json(nullptr)},
      {"loss", words.loss},
      {"plane", random ? "random" : "file"},
      {"grid", {checked.x.points, checked.y.points}},
      {"x", {checked.x.low, checked.x.high}},
      {"y", {checked.y.low, checked.y.high}},
      {"engine", engine.is_fused() ? "fused" : "eager"},
      {"dtype", name_of(engine.options().precision)},
      {"batch_size", words.batch_size},
      {"device", engine.device().is_cuda() ? "cuda" : "cpu"},
      {"instruction_set", engine.instruction_set()},
      {"libtorch", TORCH_VERSION}});
  if (random) {
    settings["seed"] = words.seed;
    settings["normalization"] = name_of(checked.direction.normalization);
    settings["ignore"] = name_of(checked.direction.ignore);
  } else {
    settings["directions"] = {{"file", words.directions.filename().string()},
                              {"sha256", sha256_of_file(words.directions)}};
  }
  return settings;
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

/// The loss at the origin, computed as the sweep computes it, kept where the grid holds that point.
Evaluation evaluate_centre(const Plane& plane, const Engine& engine, Surface& surface) {
  const int threads = torch::get_num_threads();
  torch::set_num_threads(1);
  const Evaluation centre = engine.make_evaluator()->evaluate(plane.origin);
  torch::set_num_threads(threads);
  const auto column = surface.x.index_of(0), row = surface.y.index_of(0);
  if (column && row) surface.set(*row * surface.x.points + *column, centre);
  return centre;
}

/// A wrong normalization of the images is the commonest mistake, and silent. Poor is ten points below the accuracy that
/// the checkpoint recorded, or below three times chance where it recorded none.
void warn_of_poor_centre(const Evaluation& centre, const json& metadata, const NetworkSpec& spec) {
  const double chance = 100.0 / static_cast<double>(spec.classes);
  const double recorded = metadata_value(metadata, "acc", std::nan(""));
  const bool known = recorded >= 0 && recorded <= 100;
  const bool poor = known ? centre.accuracy + 3 * centre.accuracy_se + 10 < recorded : centre.accuracy < 3 * chance;
  if (metadata_value(metadata, "epoch", 1.0) == 0) {
    fmt::print(stderr, "note: this checkpoint was saved before training\n");
  } else if (poor) {
    fmt::print(
        stderr,
        "warning: {:.1f} % accuracy at the centre is poor for a trained network{}; are --mean and --std those it "
        "was trained with, and is it the right data?\n",
        centre.accuracy, known ? fmt::format(" (the checkpoint recorded {:.1f} %)", recorded) : "");
  }
}

void warn_of_not_finite(const Surface& surface) {
  if (const std::size_t count = surface.not_finite(); count > 0) {
    fmt::print(stderr,
               "warning: {} of {} losses are not finite (stored as they are); a smaller range or --norm filter helps\n",
               count, surface.size());
  }
}

SweepOptions sweep_options(const SurfaceWords& words, ProgressLine& line) {
  SweepOptions options;
  options.threads = words.threads;
  options.stop = &catch_interrupts();
  options.on_point = [&line](const SweepProgress& now) {
    const double left = now.seconds / static_cast<double>(now.done) * static_cast<double>(now.total - now.done);
    line.update(fmt::format("{}/{} points  {:.0f} images/s  {} left  losses {:.4g} to {:.4g}", now.done, now.total,
                            now.images_per_second, duration_text(left), now.lowest, now.highest));
  };
  options.on_save = [&words](const Surface& surface) { write_surface(words.out, surface); };
  return options;
}

/// What is read before anything is computed.
struct Inputs {
  json metadata;  // the checkpoint's
  std::shared_ptr<const DataSet> data;
  std::vector<std::int64_t> samples;
  std::int64_t population;  // images in the whole split
  NetworkSpec spec;
  NetworkState origin;
};

Inputs read_inputs(const SurfaceWords& words, Split split) {
  const Checkpoint checkpoint = read_checkpoint(words.checkpoint);
  DataSet data = words.data.load(split, checkpoint.metadata);
  Inputs inputs{checkpoint.metadata,
                nullptr,
                choose_samples(words, data),
                static_cast<std::int64_t>(data.size()),
                words.network.spec(data, checkpoint, words.checkpoint),
                {}};
  if (words.samples > 0) data = subset(data, inputs.samples);
  inputs.data = std::make_shared<const DataSet>(std::move(data));
  const auto network = make_network(inputs.spec);
  load_into(checkpoint, *network, inputs.spec.architecture, words.checkpoint);
  inputs.origin = copy_state(state_of(*network), torch::kCPU);
  return inputs;
}

/// The empty surface: grid, images, directions' file, and what is to be known of it.
Surface describe(const SurfaceWords& words, const Checked& checked, const Inputs& inputs, const Plane& plane,
                 const Engine& engine, const std::string& command_line) {
  Surface surface(checked.x, checked.y, checked.split);
  surface.samples = inputs.samples;
  surface.direction_file = (words.save_directions.empty() ? words.directions : words.save_directions).string();
  surface.settings = settings_of(words, checked, *inputs.data, engine);
  surface.settings["cosine"] = cosine(plane.directions[0], plane.directions[1]);
  surface.provenance = {
      {"command", command_line}, {"version", version()}, {"started", utc_now()}, {"threads", words.threads}};
  return surface;
}

void report_centre(const Evaluation& centre, const Inputs& inputs) {
  fmt::print(stderr, "centre: loss {:.6g}, accuracy {:.2f} %\n", centre.loss, centre.accuracy);
  warn_of_poor_centre(centre, inputs.metadata, inputs.spec);
}

int report_end(const SurfaceWords& words, const Surface& surface, const SweepSummary& summary) {
  warn_of_not_finite(surface);
  fmt::print("{}\n", words.out.string());
  fmt::print(stderr, "{} of {} points in {}, {:.0f} images/s\n", surface.evaluated(), surface.size(),
             duration_text(summary.seconds), summary.images_per_second);
  if (summary.finished) return kDone;
  fmt::print(stderr, "interrupted; the points so far are in {}\n", words.out.string());
  return kInterrupted;
}

/// No output may fall on an existing file, on an input, or on the other output.
void check_files(const SurfaceWords& words) {
  check_output("--out", words.out, words.force);
  const bool saves = !words.save_directions.empty();
  if (saves) check_output("--save-directions", words.save_directions, words.force);
  for (const auto& out : {words.out, words.save_directions}) {
    for (const auto& input : {words.checkpoint, words.directions}) {
      if (same_file(out, input)) throw UsageError("{}: would be read and written; choose another name", out.string());
    }
  }
  if (same_file(words.out, words.save_directions)) {
    throw UsageError("{}: --out and --save-directions are the same file", words.out.string());
  }
}

int surface(const SurfaceWords& words, const std::string& command_line) {
  const Checked checked = check(words);
  check_files(words);
  const auto device = open_device(words.device);
  const Inputs inputs = read_inputs(words, checked.split);
  check_writable(words.out);
  Plane plane{inputs.origin, choose_directions(words, checked, inputs.origin.parameters)};
  EngineOptions options{inputs.spec,     checked.loss,   words.batch_size,
                        inputs.population, checked.engine, checked.arithmetic.instruction_set,
                        checked.arithmetic.precision};
  const Engine engine(std::move(options), inputs.data, device);
  if (!engine.why_eager().empty()) {
    fmt::print(stderr, "note: LibTorch runs this network, operator by operator: it has {}\n", engine.why_eager());
  }
  Surface result = describe(words, checked, inputs, plane, engine, command_line);
  if (!words.save_directions.empty()) {
    check_writable(words.save_directions);
    write_directions(words.save_directions, plane.directions);
  }
  if (device.is_cuda()) plane = copy_plane(plane, device);

  fmt::print(stderr, "{}x{} points, {} {} images each, {} engine ({}), into {}\n", checked.x.points, checked.y.points,
             inputs.data->size(), words.split, engine.is_fused() ? "fused" : "eager", engine.instruction_set(),
             words.out.string());
  report_centre(evaluate_centre(plane, engine, result), inputs);

  ProgressLine line;
  const SweepSummary summary = sweep(plane, engine, result, sweep_options(words, line));
  line.clear();
  result.provenance["seconds"] = summary.seconds;
  result.provenance["images_per_second"] = summary.images_per_second;
  write_surface(words.out, result);
  return report_end(words, result, summary);
}

}  // namespace

void add_surface(CLI::App& app, CommandContext& context) {
  auto* command = app.add_subcommand("surface", "Evaluate the loss over a grid around a checkpoint");
  const auto words = std::make_shared<SurfaceWords>();
  add_options(*command, *words);
  command->callback([words, &context] { context.status = surface(*words, context.command_line); });
}

}  // namespace lossatlas
