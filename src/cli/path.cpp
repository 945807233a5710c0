#include "landscape/path.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <numeric>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "base/lock.h"
#include "base/text.h"
#include "checkpoint/index.h"
#include "cli/command.h"
#include "cli/inputs.h"
#include "cli/interrupt.h"
#include "cli/landscape_inputs.h"
#include "cli/landscape_run.h"
#include "cli/landscape_words.h"
#include "cli/plane_words.h"
#include "cli/surface_run.h"
#include "data/data_digest.h"
#include "evaluation/device.h"
#include "evaluation/recalibration.h"
#include "landscape/checkpoint_plane.h"
#include "landscape/journal.h"
#include "training/curve.h"

namespace lossatlas {
namespace {

using nlohmann::json;

struct PathWords {
  std::filesystem::path from, to;
  LandscapeWords landscape;
  std::string curve = "bezier";
  std::size_t bends = 1;
  CurveOptions training;
  std::size_t points = 61;
  std::filesystem::path save_bends;  // "": --out without its suffix
  std::filesystem::path plane_out;
  std::string grid = "21x21";
  CLI::Option* grid_given = nullptr;

  std::vector<std::filesystem::path> bend_files() const {
    std::vector<std::filesystem::path> files;
    for (std::size_t k = 1; k <= bends; ++k) {
      auto file = save_bends.empty() ? landscape.out.parent_path() / landscape.out.stem() : save_bends;
      files.push_back(file += fmt::format(".bend-{}.pt", k));
    }
    return files;
  }

  /// Where a training that was cut off goes on.
  std::filesystem::path state_file() const {
    auto file = landscape.out;
    return file += ".curve.pt";
  }
};

void add_options(CLI::App& command, PathWords& words) {
  command.option_defaults()->group("What is evaluated");
  command.add_option("--from", words.from, "checkpoint where the curve begins")->required()->type_name("FILE|RUN");
  command.add_option("--to", words.to, "checkpoint where it ends, of the same network")
      ->required()
      ->type_name("FILE|RUN");
  auto& landscape = words.landscape;
  landscape.out = "outputs/path.h5";
  landscape.split = "both";
  landscape.batch_norm = "recalibrate";
  landscape.batch_size = kDefaultBatch;  // of the training too
  landscape.add_network_to(command);
  command.option_defaults()->group("The curve");
  command.add_option("--curve", words.curve, "bezier or polygon")->capture_default_str();
  command.add_option("--bends", words.bends, "points between the ends that are trained")
      ->transform(whole_number(1, 100))
      ->capture_default_str();
  auto& training = words.training;
  training.loop.epochs = 30;
  command.option_defaults()->group("Training");
  command.add_option("--epochs", training.loop.epochs, "times through the training images")
      ->transform(whole_number(1, 1'000'000))
      ->capture_default_str();
  command
      .add_option("--lr", training.learning_rate, "learning rate of the first half; it falls to a hundredth at 90 %")
      ->check(above_zero())
      ->capture_default_str();
  command.add_option("--momentum", training.momentum, "μ of SGD")
      ->check(CLI::Range(0.0, 0.999999))
      ->capture_default_str();
  command.add_option("--weight-decay", training.weight_decay, "λ: λ/2 ‖θ(t)‖² is added to the loss")
      ->check(not_negative())
      ->capture_default_str();
  command.add_flag("--augment", training.loop.augment, "random shifts and flips");
  command
      .add_option("--seed", training.loop.seed, "decides order, augmentation and the points of the curve trained at")
      ->transform(whole_number())
      ->capture_default_str();
  command.option_defaults()->group("The curve");
  command.add_option("--points", words.points, "values of t, from 0 to 1, at which curve and line are evaluated")
      ->transform(whole_number(2, 100'000))
      ->capture_default_str();
  command.add_option("--save-bends", words.save_bends, "PREFIX.bend-1.pt, … (default: beside --out)")
      ->type_name("PREFIX");
  command.option_defaults()->group("The plane");
  command.add_option("--plane-out", words.plane_out, "also the surface of the plane through the ends and a bend")
      ->type_name("FILE.h5");
  words.grid_given =
      command.add_option("--grid", words.grid, "its points along x and y; 21 is 21x21")->capture_default_str();
  landscape.add_values_to(command);
  landscape.add_running_to(command);
  command.option_defaults()->group("Output");
  command.add_flag("--resume", landscape.resume, "go on with --out, if it was begun");
  command.add_flag("--force", landscape.force, "replace an existing --out");
}

/// The words that need no file to be checked.
struct CheckedPath {
  LandscapeOptions landscape;
  CurveShape shape;
  std::size_t columns, rows;  // of the plane
};

CheckedPath check(const PathWords& words) {
  const auto [columns, rows] = parse_grid(words.grid);
  if (words.plane_out.empty() && words.grid_given->count() > 0) throw UsageError("--grid: is that of --plane-out");
  return {check(words.landscape), curve_shape_of(words.curve), columns, rows};
}

/// This command named the file, not the user: it is replaced only if an earlier run wrote it.
void check_own(const std::filesystem::path& file, std::initializer_list<const char*> entries) {
  if (!std::filesystem::exists(file) || has_entries(file, entries)) return;
  throw Error(
      "{}: not a file of `lossatlas path`, which keeps one under this name; move it away, or choose another name",
      file.string());
}

/// The words of the plane's surface.
LandscapeWords plane_words(const PathWords& words) {
  LandscapeWords plane = words.landscape;
  plane.out = words.plane_out;
  return plane;
}

/// No output may fall on an existing file, on an input, or on another output.
void check_files(const PathWords& words) {
  const bool may_replace = words.landscape.force || words.landscape.resume;
  if (!words.save_bends.empty() && words.save_bends.filename().empty()) {
    throw UsageError("--save-bends {}: wants the beginning of a file's name", words.save_bends.string());
  }
  std::vector<Output> more{{"--plane-out", words.plane_out, true}};
  for (const auto& file : words.bend_files()) more.push_back({"--save-bends", file});
  check_files(words.landscape, {}, {words.from, words.to}, more);
  if (!words.plane_out.empty()) check_files(plane_words(words), {}, {words.from, words.to});
  const auto state = words.state_file();
  check_output("--out", state, true);
  if (!may_replace && std::filesystem::exists(state)) {
    throw Error("{}: exists; go on with it by --resume, replace it by --force, or choose another --out",
                state.string());
  }
  check_own(state, {"settings", "history"});
  for (const auto& file : words.bend_files()) {
    check_output("--save-bends", file, may_replace);
    check_own(file, {"curve", "bend", "bends"});
  }
}

/// Everything that decides the curve.
json curve_settings(const PathWords& words, const LandscapeInputs& inputs, const DataSet& train,
                    const at::Device& device) {
  const CurveOptions& training = words.training;
  json settings = settings_of(inputs.spec);
  settings.update(settings_of(train));
  settings.update({{"from", settings_of_checkpoint(words.from, inputs)},
                   {"to", settings_of_checkpoint(words.to, inputs)},
                   {"train_images", train.size()},
                   {"train_images_sha256", digest_of(train)},
                   {"curve", words.curve},
                   {"bends", words.bends},
                   {"epochs", training.loop.epochs},
                   {"lr", training.learning_rate},
                   {"momentum", training.momentum},
                   {"weight_decay", training.weight_decay},
                   {"batch_size", words.landscape.batch_size},
                   {"augment", training.loop.augment},
                   {"seed", training.loop.seed},
                   {"device", device.is_cuda() ? "cuda" : "cpu"}});
  return settings;
}

/// Columns of the training's history.
json history_json(const std::vector<HistoryRow>& rows) {
  json history;
  for (const HistoryRow& row : rows) {
    history["learning_rate"].push_back(row.learning_rate);
    history["train_loss"].push_back(row.train_loss);
    history["train_acc"].push_back(row.train_acc);
    history["seconds"].push_back(row.seconds);
  }
  return history;
}

TrainingHooks hooks_for(Report& report) {
  TrainingHooks hooks;
  hooks.stop = &catch_interrupts();
  hooks.on_step = [&report](const TrainingProgress& now) { report.progress(now); };
  hooks.on_epoch = [&report](const HistoryRow& row) {
    report.say(fmt::format("epoch {}: loss {:.4f}, accuracy {:.2f} % along the curve ({})", row.epoch, row.train_loss,
                           row.train_acc, duration_text(row.seconds)));
  };
  return hooks;
}

/// What is read before anything is computed.
struct PathInputs {
  LandscapeInputs landscape;  // --from is the origin
  NamedState from, to;
  std::shared_ptr<const DataSet> recalibration;  // for the statistics of bends, with --bn stored too
};

PathInputs read_inputs(const PathWords& words, const LandscapeOptions& options) {
  LandscapeWords recalibrating = words.landscape;
  recalibrating.batch_norm = "recalibrate";
  PathInputs inputs{read_inputs(recalibrating, options, words.from), {}, {}, nullptr};
  auto& landscape = inputs.landscape;
  check_recalibration(landscape.spec);
  inputs.recalibration = landscape.recalibration;
  if (words.landscape.batch_norm == "stored") landscape.recalibration = nullptr;
  inputs.from = {words.from.string(), landscape.origin};
  inputs.to = {words.to.string(), read_state(words.to, landscape)};
  direction_between(inputs.from, inputs.to, DirectionType::weights);  // throws where they are equal
  return inputs;
}

/// A bend as a network of its own, with statistics estimated for it.
NetworkState state_of_bend(const std::vector<NamedTensor>& bend, const PathInputs& inputs, const at::Device& device) {
  NetworkState state = copy_state({bend, inputs.from.state.buffers}, device);
  if (inputs.recalibration) {
    state = make_eager_recalibration(inputs.landscape.spec, inputs.recalibration, device)->apply(state);
  }
  return copy_state(state, at::kCPU);
}

void save_bends(const PathWords& words, const Curve& curve, const PathInputs& inputs, const DataSet& train,
                const at::Device& device) {
  const auto files = words.bend_files();
  for (std::size_t k = 1; k <= curve.bends(); ++k) {
    json metadata = checkpoint_metadata(inputs.landscape.spec, train);
    metadata.update({{"curve", words.curve}, {"bend", k}, {"bends", curve.bends()}});
    check_writable(files[k - 1]);
    write_checkpoint(files[k - 1], all_tensors(state_of_bend(curve.points[k], inputs, device)), metadata);
  }
}

/// The history of the training, whose bends are saved; nothing where it was interrupted.
std::optional<json> train_curve(const PathWords& words, CurveShape shape, const PathInputs& inputs,
                                const at::Device& device, json settings, std::shared_ptr<const DataSet> train,
                                Report& report) {
  const auto state = words.state_file();
  const bool goes_on = words.landscape.resume && std::filesystem::exists(state);
  check_writable(state);
  const FileLock lock(lock_of(words.landscape.out));
  CurveOptions options = words.training;
  options.network = inputs.landscape.spec;
  options.loop.batch_size = words.landscape.batch_size;
  options.threads = words.landscape.threads;
  const Curve start = straight_curve(shape, inputs.from.state.parameters, inputs.to.state.parameters, words.bends);
  CurveRun run(options, start, train, device, state, std::move(settings));
  if (goes_on && !run.resume()) report.say("note: " + no_digest_text(state));
  if (!goes_on) {  // what an earlier path left is replaced as a whole
    std::error_code ignored;
    for (const auto& file : {state, words.landscape.out, journal_of(words.landscape.out)}) {
      std::filesystem::remove(file, ignored);
    }
  }
  report.say(fmt::format("{} curve with {} bend{} from {} to {}: {} of {} epochs are there, {} images each",
                         words.curve, words.bends, words.bends == 1 ? "" : "s", words.from.string(), words.to.string(),
                         run.history().size(), options.loop.epochs, train->size()));
  const bool finished = run.run(hooks_for(report));
  report.finish();
  if (!finished) return std::nullopt;
  save_bends(words, run.curve(), inputs, *train, device);
  return history_json(run.history());
}

/// The bends as they were saved.
std::vector<NamedState> read_bends(const PathWords& words, const PathInputs& inputs) {
  std::vector<NamedState> bends;
  for (const auto& file : words.bend_files()) bends.push_back({file.string(), read_state(file, inputs.landscape)});
  return bends;
}

/// The curve as directions from its beginning, and the straight line, one layer each.
ChosenPlane plane_of_path(const PathWords& words, CurveShape shape, const PathInputs& inputs,
                          const std::vector<NamedState>& bends) {
  std::vector<std::vector<Direction>> ways(2);
  for (const NamedState& bend : bends)
    ways[kCurveLayer].push_back(direction_between(inputs.from, bend, DirectionType::states));
  ways[kLineLayer].push_back(direction_between(inputs.from, inputs.to, DirectionType::states));
  ways[kCurveLayer].push_back(ways[kLineLayer].front());
  ChosenPlane plane;
  plane.settings = {{"plane", "path"}};
  plane.unit = norm(ways[kLineLayer].front());
  plane.files = {words.from, words.to};
  const auto names = short_names(plane.files);
  plane.points = {{names[0], 0, 0, 0}, {names[1], 1, 0, 0}};
  plane.directions = [ways](std::size_t layer) { return ways.at(layer); };
  plane.locate = [shape, points = bends.size() + 2](std::size_t layer, double t, double) {
    if (layer == kLineLayer) return std::vector{t};
    auto c = coefficients(shape, points, t);
    c.erase(c.begin());  // of the beginning, which is the origin
    return c;
  };
  return plane;
}

Curve curve_of(CurveShape shape, const PathInputs& inputs, const std::vector<NamedState>& bends) {
  Curve curve{shape, {inputs.from.state.parameters}};
  for (const NamedState& bend : bends) curve.points.push_back(bend.state.parameters);
  curve.points.push_back(inputs.to.state.parameters);
  return curve;
}

int evaluate_path(const PathWords& words, const CheckedPath& checked, const PathInputs& inputs, const Engine& engine,
                  const std::vector<NamedState>& bends, json settings, const json& history,
                  const CommandContext& context, Report& report) {
  const ChosenPlane plane = plane_of_path(words, checked.shape, inputs, bends);
  const LandscapeOptions& options = checked.landscape;
  const auto more = names_of(words.landscape.extras, options.split, inputs.landscape.spec.classes, options.second);
  Surface surface({0, 1, words.points}, {0, 0, 1}, options.split, more, 2);
  surface.kind = SurfaceKind::path;
  const Curve curve = curve_of(checked.shape, inputs, bends);
  json files = json::array();
  for (const auto& file : words.bend_files()) files.push_back(settings_of_checkpoint(file, inputs.landscape));
  settings.update({{"bend_files", files},
                   {"curve_length", length(curve)},
                   {"line_length", length({checked.shape, {curve.points.front(), curve.points.back()}})},
                   {"repeat", 1}});
  surface.settings = std::move(settings);
  if (!history.is_null()) surface.provenance["training"] = history;
  return run_landscape({words.landscape, options, inputs.landscape, engine, plane, {}, std::move(surface)}, context,
                       report);
}

/// Where the curve runs in a plane that marks its points: the ends first, then bends, in the order of `bends`.
PlaneCurve curve_in_plane(const ChosenPlane& plane, CurveShape shape, const std::vector<std::size_t>& bends,
                          std::size_t points) {
  std::vector<const MarkedPoint*> at(plane.points.size());
  at.front() = &plane.points[0];
  at.back() = &plane.points[1];
  for (std::size_t i = 0; i < bends.size(); ++i) at[bends[i]] = &plane.points[i + 2];
  PlaneCurve curve{std::string(name_of(shape)), Axis{0, 1, points}.coordinates(), {}, {}};
  for (const double t : curve.t) {
    const auto c = coefficients(shape, at.size(), t);
    double x = 0, y = 0;
    for (std::size_t k = 0; k < c.size(); ++k) {
      x += c[k] * at[k]->x;
      y += c[k] * at[k]->y;
    }
    curve.x.push_back(x);
    curve.y.push_back(y);
  }
  return curve;
}

/// The surface of the plane through the ends and the middle bend.
int draw_plane(const PathWords& words, const CheckedPath& checked, const PathInputs& inputs, const Engine& engine,
               const CommandContext& context, Report& report) {
  constexpr std::size_t kCurvePoints = 201;
  const auto files = words.bend_files();
  std::vector<std::size_t> bends(words.bends);  // numbers from 1, the middle one first
  std::iota(bends.begin(), bends.end(), 1);
  std::rotate(bends.begin(), bends.begin() + static_cast<std::ptrdiff_t>((bends.size() - 1) / 2), bends.end());
  PlaneOptions through;
  through.source = PlaneSource::points;
  through.files = {words.to};
  for (const std::size_t bend : bends) through.files.push_back(files[bend - 1]);
  const ChosenPlane plane = choose_plane(through, 2, inputs.landscape, sums_of(words.landscape, checked.landscape));
  const LandscapeOptions& options = checked.landscape;
  const auto more = names_of(words.landscape.extras, options.split, inputs.landscape.spec.classes, options.second);
  Surface surface(axis_around(plane.points, &MarkedPoint::x, checked.columns),
                  axis_around(plane.points, &MarkedPoint::y, checked.rows), options.split, more);
  surface.curves = {curve_in_plane(plane, checked.shape, bends, kCurvePoints)};
  surface.settings = {{"repeat", 1}, {"curve", words.curve}};
  const LandscapeWords landscape = plane_words(words);
  return run_landscape({landscape, options, inputs.landscape, engine, plane, {}, std::move(surface)}, context, report);
}

int path(const PathWords& words, const CheckedPath& checked, const CommandContext& context, Report& report) {
  const auto device = open_device(words.landscape.device);
  DataSet images = words.landscape.data.load(Split::train);
  const PathInputs inputs = read_inputs(words, checked.landscape);
  words.landscape.data.normalize(images, inputs.landscape.metadata);
  const auto train = std::make_shared<const DataSet>(std::move(images));
  const json settings = curve_settings(words, inputs.landscape, *train, device);
  const auto state = words.state_file();
  json history;
  if (!words.landscape.resume || std::filesystem::exists(state) || !std::filesystem::exists(words.landscape.out)) {
    const auto trained = train_curve(words, checked.shape, inputs, device, settings, train, report);
    if (!trained) {
      report.say(fmt::format("interrupted; the curve so far is in {}; go on with: {}", state.string(),
                             command_to_go_on(words.landscape, context.words)));
      return kInterrupted;
    }
    history = *trained;
  }
  const Engine engine = make_engine(words.landscape, checked.landscape, inputs.landscape, device);
  const auto bends = read_bends(words, inputs);
  const int status = evaluate_path(words, checked, inputs, engine, bends, settings, history, context, report);
  if (status != kDone) return status;
  std::error_code ignored;
  std::filesystem::remove(state, ignored);
  return words.plane_out.empty() ? kDone : draw_plane(words, checked, inputs, engine, context, report);
}

int path(PathWords& words, const CommandContext& context) {
  const CheckedPath checked = check(words);
  for (auto* end : {&words.from, &words.to}) *end = checkpoint_of(*end, words.landscape.notes);
  check_files(words);
  return with_report(words.landscape, checked.landscape,
                     [&](Report& report) { return path(words, checked, context, report); });
}

}  // namespace

void add_path(CLI::App& app, CommandContext& context) {
  auto* command = app.add_subcommand("path", "Train a curve of low loss between two checkpoints, and evaluate it");
  const auto words = std::make_shared<PathWords>();
  add_options(*command, *words);
  command->callback([words, &context] {
    words->landscape.out = real_file(words->landscape.out);
    words->plane_out = real_file(words->plane_out);
    context.status = path(*words, context);
  });
}

}  // namespace lossatlas
