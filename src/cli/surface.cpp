#include <torch/version.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <memory>
#include <numeric>

#include "base/error.h"
#include "base/lock.h"
#include "base/process.h"
#include "base/sha256.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/inputs.h"
#include "cli/report.h"
#include "cli/surface_run.h"
#include "cli/version.h"
#include "cli/words.h"
#include "evaluation/device.h"
#include "landscape/direction_file.h"
#include "landscape/journal.h"
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
  std::string batch_norm = "stored";
  std::int64_t batch_norm_images = 1000;
  Extras extras;
  std::size_t repeat = 1;
  double tolerance = 0;
  std::int64_t budget = 0;
  std::int64_t batch_size = 128;
  std::filesystem::path directions, save_directions;
  std::string device = "cpu";
  std::string engine = "auto", instruction_set = "auto", dtype = "fp32";
  int threads = default_threads();
  std::string progress = "line";
  std::filesystem::path log;
  bool force = false, resume = false, join = false;

  /// True where an existing --out is gone on with, not replaced.
  bool goes_on() const { return resume || join; }
  /// True where few evaluations stand for all images at every point.
  bool in_levels() const { return tolerance > 0 || budget > 0; }
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
  command.add_flag("--class-loss", words.extras.class_losses, "also the loss over the images of each class");
  command.add_flag("--top5", words.extras.top5, "also the accuracy among the five largest logits");
  command.add_option("--l2", words.extras.weight_decay, "also the L2 term of this weight decay λ: λ/2 ‖θ‖²")
      ->check(above_zero())
      ->type_name("λ");
  command.add_option("--bn", words.batch_norm, "batch-norm statistics: stored, or recalibrate: estimated anew at each point")
      ->check(CLI::IsMember({"stored", "recalibrate"}))
      ->capture_default_str();
  command.add_option("--bn-images", words.batch_norm_images, "training images for --bn recalibrate")
      ->check(CLI::Range(2, 1'000'000'000))
      ->capture_default_str();
  command.add_option("--repeat", words.repeat, "pairs of random directions, each with its surface")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command.add_option("--tolerance", words.tolerance,
                     "evaluate no more than keeps the error of log loss below this part of its range, as in 0.01")
      ->check(CLI::Range(1e-4, 0.5));
  command.add_option("--budget", words.budget, "image evaluations at most; points between are reconstructed")
      ->check(above_zero());
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
  command.add_option("--progress", words.progress, "line, json (for programs) or none")->capture_default_str();
  command.add_option("--log", words.log, "add messages and progress, with times, to this file")->type_name("FILE");
  command.add_flag("--resume", words.resume, "go on with --out, if it is there");
  command.add_flag("--join", words.join, "share the work with the process that computes --out");
  command.add_flag("--force", words.force,
                   "replace an existing --out; with --resume: go on though engine, instruction set, batch size or LibTorch differ");
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

/// --tolerance and --budget leave some things to plain surfaces.
void check_levels(const SurfaceWords& words) {
  if (std::isnan(words.tolerance)) throw UsageError("--tolerance nan: wants a number from 0.0001 to 0.5");
  if (!words.in_levels()) return;
  const char* option = words.tolerance > 0 ? "--tolerance" : "--budget";
  const auto refuse = [&](const char* other) { throw UsageError("{}: cannot be used with {}", option, other); };
  if (words.repeat > 1) refuse("--repeat");
  if (words.join) refuse("--join");
  if (words.extras.class_losses) refuse("--class-loss");
  if (words.extras.top5) refuse("--top5");
  if (words.extras.weight_decay > 0) refuse("--l2");
}

Checked check(const SurfaceWords& words) {
  const auto [columns, rows] = parse_grid(words.grid);
  check_levels(words);
  if (words.repeat > 1 && !(words.directions.empty() && words.save_directions.empty())) {
    throw UsageError("--repeat {}: draws its directions, a file of them holds one pair", words.repeat);
  }
  return {parse_axis("--x", words.x, columns),
          parse_axis("--y", words.y, rows),
          {words.seed, normalization_of(words.normalization), ignore_of(words.ignore)},
          words.split == "train" ? Split::train : Split::test,
          loss_function_of(words.loss),
          engine_of(words.engine),
          parse_arithmetic(words.instruction_set, words.dtype)};
}

void check_count(const char* option, std::int64_t count, std::string_view split, const DataSet& data) {
  if (count <= static_cast<std::int64_t>(data.size())) return;
  throw UsageError("{} {}: the {} split of {} has {} images", option, count, split, data.name, data.size());
}

std::vector<std::int64_t> choose_samples(const SurfaceWords& words, const DataSet& data) {
  check_count("--samples", words.samples, words.split, data);
  if (words.samples > 0 || words.in_levels()) {
    const auto count = words.samples > 0 ? static_cast<std::size_t>(words.samples) : data.size();
    return stratified_sample(data.labels, count, words.sample_seed);
  }
  std::vector<std::int64_t> indices(data.size());
  std::iota(indices.begin(), indices.end(), 0);
  return indices;
}

std::vector<Direction> choose_directions(const SurfaceWords& words, const Checked& checked,
                                         const std::vector<NamedTensor>& parameters, std::size_t repeat) {
  if (words.directions.empty()) {
    const auto first = static_cast<std::uint32_t>(2 * repeat);
    return {random_direction(parameters, first, checked.direction),
            random_direction(parameters, first + 1, checked.direction)};
  }
  auto directions = read_directions(words.directions, parameters);
  if (directions.size() != 2) throw Error("{}: holds one direction, a surface takes two", words.directions.string());
  return directions;
}

/// A wrong normalization of the images is the commonest mistake, and silent. Poor is ten points below the accuracy that
/// the checkpoint recorded, or below three times chance where it recorded none.
void warn_of_poor_centre(const Evaluation& centre, const json& metadata, const NetworkSpec& spec, Report& report) {
  const double chance = 100.0 / static_cast<double>(spec.classes);
  const double recorded = metadata_value(metadata, "acc", std::nan(""));
  const bool known = recorded >= 0 && recorded <= 100;
  const bool poor = known ? centre.accuracy + 3 * centre.accuracy_se + 10 < recorded : centre.accuracy < 3 * chance;
  if (metadata_value(metadata, "epoch", 1.0) == 0) {
    report.say("note: this checkpoint was saved before training");
  } else if (poor) {
    report.say(fmt::format(
        "warning: {:.1f} % accuracy at the centre is poor for a trained network{}; are --mean and --std those it "
        "was trained with, and is it the right data?",
        centre.accuracy, known ? fmt::format(" (the checkpoint recorded {:.1f} %)", recorded) : ""));
  }
}

/// What is read before anything is computed.
struct Inputs {
  json metadata;  // the checkpoint's
  std::shared_ptr<const DataSet> data;
  std::shared_ptr<const DataSet> recalibration;  // training images for the batch-norm statistics, on request
  std::vector<std::int64_t> samples;
  std::int64_t population;  // images in the whole split
  NetworkSpec spec;
  std::shared_ptr<const Network> network;  // as it was read
  NetworkState origin;                     // a copy of its tensors
};

std::shared_ptr<const DataSet> read_recalibration(const SurfaceWords& words, const json& metadata) {
  if (words.batch_norm == "stored") return nullptr;
  const DataSet data = words.data.load(Split::train, metadata);
  check_count("--bn-images", words.batch_norm_images, "train", data);
  const auto count = static_cast<std::size_t>(words.batch_norm_images);
  return std::make_shared<const DataSet>(subset(data, stratified_sample(data.labels, count, words.sample_seed)));
}

Inputs read_inputs(const SurfaceWords& words, Split split) {
  const Checkpoint checkpoint = read_checkpoint(words.checkpoint);
  DataSet data = words.data.load(split, checkpoint.metadata);
  Inputs inputs{checkpoint.metadata,
                nullptr,
                read_recalibration(words, checkpoint.metadata),
                choose_samples(words, data),
                static_cast<std::int64_t>(data.size()),
                words.network.spec(data, checkpoint, words.checkpoint),
                nullptr,
                {}};
  if (words.samples > 0 || words.in_levels()) data = subset(data, inputs.samples);
  inputs.data = std::make_shared<const DataSet>(std::move(data));
  const auto network = make_network(inputs.spec);
  load_into(checkpoint, *network, inputs.spec.architecture, words.checkpoint);
  inputs.network = network;
  inputs.origin = copy_state(state_of(*network), torch::kCPU);
  return inputs;
}

/// Everything that decides the values, and nothing else.
json settings_of(const SurfaceWords& words, const Checked& checked, const Inputs& inputs, const Engine& engine) {
  const DataSet& data = *inputs.data;
  const bool random = words.directions.empty();
  json settings = settings_of(engine.options().network);
  settings.update(settings_of(data));
  settings.update({
      {"checkpoint", {{"file", words.checkpoint.filename().string()}, {"sha256", sha256_of_file(words.checkpoint)}}},
      {"split", words.split},
      {"samples", data.size()},
      {"sample_seed", words.samples > 0 || words.in_levels() ? json(words.sample_seed) : json(nullptr)},
      {"loss", words.loss},
      {"bn", words.batch_norm},
      {"bn_images", inputs.recalibration ? json(inputs.recalibration->size()) : json(nullptr)},
      {"more", names_of(words.extras, checked.split, inputs.spec.classes)},
      {"l2", words.extras.weight_decay > 0 ? json(words.extras.weight_decay) : json(nullptr)},
      {"repeat", words.repeat},
      {"levels", words.in_levels() ? json(ladder_of(static_cast<std::int64_t>(data.size()))) : json(nullptr)},
      {"tolerance", words.tolerance > 0 ? json(words.tolerance) : json(nullptr)},
      {"budget", words.budget > 0 ? json(words.budget) : json(nullptr)},
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

/// Without points. Throws UsageError where --budget does not suffice for a pilot.
Surface empty_surface(const SurfaceWords& words, const Checked& checked, const Inputs& inputs) {
  if (!words.in_levels()) {
    return Surface(checked.x, checked.y, checked.split, names_of(words.extras, checked.split, inputs.spec.classes),
                   words.repeat);
  }
  const auto ladder = ladder_of(static_cast<std::int64_t>(inputs.data->size()));
  Surface surface(checked.x, checked.y, checked.split, {}, ladder.size());
  surface.levels = ladder;
  const std::int64_t pilot = LevelPlan(surface, ladder, {}).pilot_cost();
  if (words.budget > 0 && words.budget < pilot) {
    throw UsageError("--budget {}: the first look alone takes {} image evaluations ({} points on all {} images)",
                     words.budget, pilot, pilot / ladder.back(), ladder.back());
  }
  return surface;
}

/// That, with images, directions' file, and what is to be known of it.
Surface describe(const SurfaceWords& words, const Checked& checked, const Inputs& inputs, const Planes& planes,
                 const Engine& engine, const std::string& command_line) {
  Surface surface = empty_surface(words, checked, inputs);
  surface.samples = inputs.samples;
  surface.direction_file = (words.save_directions.empty() ? words.directions : words.save_directions).string();
  surface.settings = settings_of(words, checked, inputs, engine);
  json cosines = json::array();
  for (std::size_t repeat = 0; repeat < words.repeat; ++repeat) {
    const auto plane = planes.at(repeat);
    cosines.push_back(cosine(plane->directions[0], plane->directions[1]));
  }
  surface.settings["cosine"] = words.repeat == 1 ? cosines.at(0) : cosines;
  surface.provenance = {
      {"command", command_line}, {"version", version()}, {"started", utc_now()}, {"threads", words.threads}};
  return surface;
}

/// No output may fall on an existing file, on an input, or on another output.
void check_files(const SurfaceWords& words) {
  const auto& out = words.out;
  const auto holder = words.join ? std::nullopt : FileLock::holder(lock_of(out));
  if (holder) throw Error("{}", busy_text(out, *holder));
  check_output("--out", out, true);
  if (!words.force && !words.goes_on()) {
    for (const auto& file : {out, journal_of(out)}) {
      if (!std::filesystem::exists(file)) continue;
      throw Error("{}: exists; go on with it by --resume, replace it by --force, or choose another --out", file.string());
    }
  }
  const bool saves = !words.save_directions.empty();
  if (saves) check_output("--save-directions", words.save_directions, words.force || words.goes_on());
  const std::array outputs{out, words.save_directions, words.log};
  for (const auto& output : outputs) {
    for (const auto& input : {words.checkpoint, words.directions}) {
      if (same_file(output, input)) {
        throw UsageError("{}: would be read and written; choose another name", output.string());
      }
    }
  }
  if (same_file(out, words.save_directions)) {
    throw UsageError("{}: --out and --save-directions are the same file", out.string());
  }
  for (const auto& output : {out, words.save_directions, journal_of(out), lock_of(out)}) {
    if (same_file(words.log, output)) throw UsageError("--log {}: is written by the sweep; choose another name", output.string());
  }
}

/// Writes the directions for other tools. Where a sweep goes on, its file is there already.
void save_directions(const SurfaceWords& words, const std::vector<NamedTensor>& parameters,
                     const std::vector<Direction>& directions) {
  const auto& file = words.save_directions;
  check_writable(file);
  if (!words.goes_on() || !std::filesystem::exists(file)) return write_directions(file, directions);
  const auto saved = read_directions(file, parameters);
  for (std::size_t k = 0; k < directions.size(); ++k) {
    for (std::size_t p = 0; p < directions[k].size(); ++p) {
      if (k < saved.size() && torch::equal(saved[k][p].tensor, directions[k][p].tensor)) continue;
      throw Error("{}: exists and holds other directions; choose another --save-directions", file.string());
    }
  }
}

/// The command line again, for a run that was cut off.
std::string command_to_go_on(const SurfaceWords& words, std::vector<std::string> command) {
  if (!words.resume) command.push_back("--resume");
  return shell_line(command);
}

std::string introduction(const SurfaceWords& words, const Checked& checked, const Inputs& inputs, const Engine& engine) {
  const std::string repeats = words.repeat > 1 ? fmt::format("{} times ", words.repeat) : "";
  return fmt::format("{}{}x{} points, {} {} images{}, {} engine ({}), into {}", repeats, checked.x.points,
                     checked.y.points, inputs.data->size(), words.split, words.in_levels() ? " in all" : " each", engine.is_fused() ? "fused" : "eager", engine.instruction_set(),
                     words.out.string());
}

/// The loss of the network as it was read, through LibTorch, with the batch-norm statistics it came with.
double loss_of_checkpoint(const Inputs& inputs, const Engine& engine, std::int64_t images) {
  EngineOptions options = engine.options();
  options.engine = EngineChoice::eager;
  options.precision = Precision::fp32;
  options.extras = {};
  options.recalibration = nullptr;
  std::vector<std::int64_t> first(static_cast<std::size_t>(images));
  std::iota(first.begin(), first.end(), 0);
  const Engine eager(std::move(options), std::make_shared<const DataSet>(subset(*inputs.data, first)), engine.device());
  return eager.make_evaluator()->evaluate(copy_state(state_of(*inputs.network), engine.device())).loss;
}

int surface(const SurfaceWords& words, const Checked& checked, const CommandContext& context, Report& report) {
  const auto device = open_device(words.device);
  const Inputs inputs = read_inputs(words, checked.split);
  check_writable(words.out);
  const auto directions = [&](std::size_t repeat) {
    return choose_directions(words, checked, inputs.origin.parameters, repeat);
  };
  const Planes planes(copy_state(inputs.origin, device), directions);
  EngineOptions options{inputs.spec,     checked.loss,   words.batch_size,
                        inputs.population, checked.engine, checked.arithmetic.instruction_set,
                        checked.arithmetic.precision, words.extras, inputs.recalibration};
  const Engine engine(std::move(options), inputs.data, device);
  if (!engine.why_eager().empty()) {
    report.say("note: LibTorch runs this network, operator by operator: it has " + engine.why_eager());
  }
  Surface described = describe(words, checked, inputs, planes, engine, context.command_line);
  if (!words.save_directions.empty()) save_directions(words, inputs.origin.parameters, directions(0));
  const auto judge_centre = [&](const Evaluation& centre) {
    report.say(fmt::format("centre: loss {:.6g}, accuracy {:.2f} %", centre.loss, centre.accuracy));
    warn_of_poor_centre(centre, inputs.metadata, inputs.spec, report);
  };
  const auto checkpoint_loss = [&](std::int64_t images) { return loss_of_checkpoint(inputs, engine, images); };
  return run_surface({words.out, planes, engine, std::move(described), words.threads, words.resume, words.join,
                      words.force, introduction(words, checked, inputs, engine),
                      command_to_go_on(words, context.words), judge_centre, checkpoint_loss,
                      {words.tolerance, words.budget}},
                     report);
}

/// Checks the words before anything is opened; the log gets the error line too.
int surface(const SurfaceWords& words, const CommandContext& context) {
  const Checked checked = check(words);
  const ProgressStyle style = progress_style_of(words.progress);
  check_files(words);
  Report report(style, words.log);
  try {
    return surface(words, checked, context, report);
  } catch (const std::exception& error) {
    const std::string text = error.what();
    report.note("lossatlas: " + text.substr(0, text.find('\n')));
    throw;
  }
}

}  // namespace

void add_surface(CLI::App& app, CommandContext& context) {
  auto* command = app.add_subcommand("surface", "Evaluate the loss over a grid around a checkpoint");
  const auto words = std::make_shared<SurfaceWords>();
  add_options(*command, *words);
  command->callback([words, &context] { context.status = surface(*words, context); });
}

}  // namespace lossatlas
