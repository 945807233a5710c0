#include "training/curve.h"

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
#include "data/data_digest.h"
#include "evaluation/device.h"
#include "jobs/file_copies.h"
#include "jobs/inputs.h"
#include "jobs/jobs.h"
#include "jobs/landscape_run.h"
#include "jobs/outputs.h"
#include "jobs/planes.h"
#include "jobs/rank_run.h"
#include "jobs/run_files.h"
#include "jobs/shard.h"
#include "jobs/surface_run.h"
#include "landscape/checkpoint_plane.h"
#include "models/network.h"
#include "models/registry.h"
#include "surface/journal.h"

namespace lossatlas {
namespace {

using nlohmann::json;

/// What was checked without reading a checkpoint.
struct CheckedCurve {
  CurveRequest request;
  LandscapeOptions landscape;
  CurveShape shape;
  std::vector<std::string> notes;
};

/// With what the names of the bends' files begin.
std::filesystem::path bend_prefix(const CurveRequest& request) {
  const auto& out = request.landscape.out;
  return request.save_bends.empty() ? out.parent_path() / out.stem() : request.save_bends;
}

std::vector<std::filesystem::path> bend_files(const CurveRequest& request) {
  std::vector<std::filesystem::path> files;
  for (std::size_t k = 1; k <= request.bends; ++k) {
    auto file = bend_prefix(request);
    files.push_back(file += fmt::format(".bend-{}.pt", k));
  }
  return files;
}

/// Where a training that was cut off continues.
std::filesystem::path state_file(const CurveRequest& request) {
  auto file = request.landscape.out;
  return file += ".curve.pt";
}

/// This command named the file, not the user: it is replaced only if an earlier run wrote it.
void check_own(const std::filesystem::path& file, std::initializer_list<const char*> entries) {
  if (!std::filesystem::exists(file) || has_entries(file, entries)) return;
  throw Error(
      "{}: not a file of `lossatlas curve`, which keeps one under this name; move it away, or choose another name",
      file.string());
}

/// The landscape of the plane's surface.
LandscapeRequest of_plane(const CurveRequest& request) {
  LandscapeRequest plane = request.landscape;
  plane.out = request.plane_out;
  return plane;
}

/// No output may fall on an existing file, on an input, or on another output.
void check_files(const CurveRequest& request) {
  const bool may_replace = request.landscape.force || request.landscape.resume;
  if (!request.save_bends.empty() && request.save_bends.filename().empty()) {
    throw UsageError("`save_bends` {}: requires the beginning of a file's name", request.save_bends.string());
  }
  std::vector<Output> more{{"`plane_out`", request.plane_out, true}};
  for (const auto& file : bend_files(request)) more.push_back({"`save_bends`", file});
  check_files(request.landscape, {}, {request.from, request.to}, more);
  if (!request.plane_out.empty()) check_files(of_plane(request), {}, {request.from, request.to});
  const auto state = state_file(request);
  check_output("`out`", state, true);
  if (!may_replace && std::filesystem::exists(state)) {
    throw Error("{}: exists; continue it with `resume`, replace it with `force`, or choose another `out`",
                state.string());
  }
  check_own(state, {"settings", "history"});
  for (const auto& file : bend_files(request)) {
    check_output("`save_bends`", file, may_replace);
    check_own(file, {"curve", "bend", "bends"});
  }
}

/// What the bends are trained on.
struct TrainingData {
  std::shared_ptr<const DataSet> images;        // of networks of ours
  std::shared_ptr<const SampleSource> samples;  // of a problem file's
  std::int64_t size = 0;
  std::int64_t batch_size = 0;
  std::string sha256;
};

/// Everything that decides the curve.
Settings curve_settings(const CurveRequest& request, const LandscapeInputs& inputs, const TrainingData& train,
                        const at::Device& device) {
  Settings settings = settings_of_problem(inputs);
  settings.from = identity_of_checkpoint(request.from, inputs);
  settings.to = identity_of_checkpoint(request.to, inputs);
  settings.train_images = train.size;
  settings.train_images_sha256 = train.sha256;
  settings.curve = request.shape;
  settings.bends = request.bends;
  settings.epochs = request.epochs;
  settings.lr = request.learning_rate;
  settings.momentum = request.momentum;
  settings.weight_decay = request.weight_decay;
  settings.batch_size = train.batch_size;
  settings.augment = request.augment;
  settings.seed = request.seed;
  settings.device = device.is_cuda() ? "cuda" : "cpu";
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

TrainingHooks hooks_of_curve(Observer& observer) {
  TrainingHooks hooks;
  hooks.stop = &observer.should_stop();
  hooks.on_step = [&observer](const TrainingProgress& now) { observer.on_progress(now); };
  hooks.on_epoch = [&observer](const HistoryRow& row) {
    const std::string accuracy =
        std::isnan(row.train_acc) ? std::string() : fmt::format(", accuracy {:.2f} %", row.train_acc);
    observer.on_note(fmt::format("epoch {}: loss {:.4f}{} along the curve ({})", row.epoch, row.train_loss, accuracy,
                                 duration_text(row.seconds)));
  };
  return hooks;
}

/// What is read before anything is computed.
struct CurveInputs {
  LandscapeInputs landscape;  // --from is the origin
  NamedState from, to;
  std::shared_ptr<const SampleSource> recalibration;  // for the statistics of bends, with --bn stored too
};

CurveInputs read_inputs(const CurveRequest& request, const LandscapeOptions& options, at::Device device,
                        Observer& observer) {
  LandscapeRequest recalibrating = request.landscape;
  recalibrating.batch_norm = "recalibrate";
  LandscapeOptions between = options;
  between.is_between_networks = true;
  CurveInputs inputs{read_inputs(recalibrating, between, request.from, device, observer), {}, {}, nullptr};
  auto& landscape = inputs.landscape;
  if (!landscape.spec.script.empty()) {
    throw Error("{}: a curve cannot be trained through a {} file; name its `arch`, or write a problem file",
                request.from.string(), landscape.spec.file_kind());
  }
  if (landscape.recalibration) landscape.problem->check_recalibration();
  inputs.recalibration = landscape.recalibration;
  if (request.landscape.batch_norm == "stored") landscape.recalibration = nullptr;
  inputs.from = {request.from.string(), landscape.origin};
  inputs.to = {request.to.string(), read_state(request.to, landscape)};
  direction_between(inputs.from, inputs.to, DirectionType::weights);  // throws where they are equal
  return inputs;
}

/// The bends as networks of their own, with statistics estimated for each.
void save_bends(const CurveRequest& request, const Curve& curve, const CurveInputs& inputs, const TrainingData& train,
                const at::Device& device) {
  const auto files = bend_files(request);
  const auto& problem = *inputs.landscape.problem;
  const auto recalibration = inputs.recalibration ? problem.make_recalibration(inputs.recalibration, device) : nullptr;
  for (std::size_t k = 1; k <= curve.bends(); ++k) {
    json metadata =
        train.images ? checkpoint_metadata(inputs.landscape.spec, *train.images) : json{{"model", problem.name()}};
    metadata.update({{"curve", request.shape}, {"bend", k}, {"bends", curve.bends()}});
    check_writable(files[k - 1]);
    NetworkState bend = copy_state({curve.points[k], inputs.from.state.buffers}, device);
    if (recalibration) bend = copy_state(recalibration->apply(bend), device);
    write_checkpoint(files[k - 1], all_tensors(state_on(bend, at::kCPU)), metadata);
  }
}

/// The history of the training, whose bends are saved; nothing if it was interrupted.
std::optional<json> train_curve(const CurveRequest& request, CurveShape shape, const CurveInputs& inputs,
                                const at::Device& device, Settings settings, const TrainingData& train,
                                Observer& observer) {
  const auto state = state_file(request);
  const bool goes_on = request.landscape.resume && std::filesystem::exists(state);
  check_writable(state);
  const FileLock lock(lock_of(request.landscape.out));
  const MinibatchOptions minibatches{.batch_size = train.batch_size, .seed = request.seed, .augment = request.augment};
  const auto trainee = [&]() -> std::unique_ptr<Trainee> {
    if (inputs.landscape.file) return make_trainee(inputs.landscape.file, train.samples, minibatches, device);
    const auto network = make_network(inputs.landscape.spec);
    network->to(device);
    return make_trainee(network, train.images, minibatches, device);
  };
  const CurveOptions options{.epochs = request.epochs,
                             .seed = request.seed,
                             .learning_rate = request.learning_rate,
                             .momentum = request.momentum,
                             .weight_decay = request.weight_decay,
                             .threads = request.landscape.threads};
  const Curve start = straight_curve(shape, inputs.from.state.parameters, inputs.to.state.parameters, request.bends);
  CurveRun run(options, start, trainee, state, json_of(settings));
  if (goes_on && !run.resume()) observer.on_note("note: " + no_digest_text(state));
  if (!goes_on) {  // what an earlier curve left is replaced as a whole
    std::error_code ignored;
    for (const auto& file : {state, request.landscape.out, journal_of(request.landscape.out)}) {
      std::filesystem::remove(file, ignored);
    }
  }
  observer.on_note(fmt::format("{} curve with {} bend{} from {} to {}: {} of {} epochs are there, {} {} each",
                               request.shape, request.bends, request.bends == 1 ? "" : "s", request.from.string(),
                               request.to.string(), run.history().size(), options.epochs, train.size,
                               samples_word(inputs.landscape)));
  const bool finished = run.run(hooks_of_curve(observer));
  observer.on_progress_end();
  if (!finished) return std::nullopt;
  save_bends(request, run.curve(), inputs, train, device);
  return history_json(run.history());
}

/// The bends as they were saved.
std::vector<NamedState> read_bends(const CurveRequest& request, const CurveInputs& inputs) {
  std::vector<NamedState> bends;
  LandscapeInputs ours = inputs.landscape;
  ours.key.clear();
  for (const auto& file : bend_files(request)) bends.push_back({file.string(), read_state(file, ours)});
  return bends;
}

/// The curve as directions from its beginning, and the straight line, one member each.
ChosenPlane plane_of_curve(const CurveRequest& request, CurveShape shape, const CurveInputs& inputs,
                           const std::vector<NamedState>& bends) {
  std::vector<std::vector<Direction>> ways(2);
  for (const NamedState& bend : bends)
    ways[kCurveMember].push_back(direction_between(inputs.from, bend, DirectionType::states));
  ways[kChordMember].push_back(direction_between(inputs.from, inputs.to, DirectionType::states));
  ways[kCurveMember].push_back(ways[kChordMember].front());
  ChosenPlane plane;
  plane.settings.plane = "path";
  plane.unit = norm(ways[kChordMember].front());
  plane.files = {request.from, request.to};
  const auto names = short_names(plane.files);
  plane.points = {{names[0], {0}}, {names[1], {1}}};
  plane.directions = [ways](std::size_t member) { return ways.at(member); };
  plane.locate = [shape, points = bends.size() + 2](std::size_t member, std::span<const double> t) {
    if (member == kChordMember) return std::vector{t[0]};
    auto c = coefficients(shape, points, t[0]);
    c.erase(c.begin());  // of the beginning, which is the origin
    return c;
  };
  return plane;
}

Curve curve_of(CurveShape shape, const CurveInputs& inputs, const std::vector<NamedState>& bends) {
  Curve curve{shape, {inputs.from.state.parameters}};
  for (const NamedState& bend : bends) curve.points.push_back(bend.state.parameters);
  curve.points.push_back(inputs.to.state.parameters);
  return curve;
}

Outcome evaluate_curve(const CurveRequest& request, const CheckedCurve& checked, const CurveInputs& inputs,
                       const Engine& engine, const std::vector<NamedState>& bends, Settings settings,
                       const json& history, const Caller& caller, Observer& observer) {
  const ChosenPlane plane = plane_of_curve(request, checked.shape, inputs, bends);
  const LandscapeOptions& options = checked.landscape;
  Surface surface({{0, 1, request.points, "t"}}, measures_of(request.landscape.extras, options, inputs.landscape),
                  CurveWithChord{});
  const Curve curve = curve_of(checked.shape, inputs, bends);
  settings.bend_files.emplace();
  for (const auto& file : bend_files(request)) {
    settings.bend_files->push_back(identity_of_checkpoint(file, inputs.landscape));
  }
  settings.curve_length = length(curve);
  settings.line_length = length({checked.shape, {curve.points.front(), curve.points.back()}});
  settings.repeat = 1;
  if (!history.is_null()) surface.provenance["training"] = history;
  return run_landscape({.request = request.landscape,
                        .options = options,
                        .inputs = inputs.landscape,
                        .engine = engine,
                        .plane = plane,
                        .surface = std::move(surface),
                        .settings = settings},
                       caller, observer);
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
      x += c[k] * at[k]->coordinates[0];
      y += c[k] * at[k]->coordinates[1];
    }
    curve.x.push_back(x);
    curve.y.push_back(y);
  }
  return curve;
}

/// The surface of the plane through the ends and the middle bend.
Outcome draw_plane(const CurveRequest& request, const CheckedCurve& checked, const CurveInputs& inputs,
                   const Engine& engine, const Caller& caller, Observer& observer) {
  constexpr std::size_t kCurvePoints = 201;
  const auto files = bend_files(request);
  std::vector<std::size_t> bends(request.bends);  // numbers from 1, the middle one first
  std::iota(bends.begin(), bends.end(), 1);
  std::rotate(bends.begin(), bends.begin() + static_cast<std::ptrdiff_t>((bends.size() - 1) / 2), bends.end());
  PlaneOptions through;
  through.source = PlaneSource::points;
  through.files = {request.to};
  for (const std::size_t bend : bends) through.files.push_back(files[bend - 1]);
  const ChosenPlane plane = choose_plane(through, 2, inputs.landscape, sums_of(request.landscape, checked.landscape));
  const LandscapeOptions& options = checked.landscape;
  Surface surface({axis_around(plane.points, 0, request.grid[0]), axis_around(plane.points, 1, request.grid[1])},
                  measures_of(request.landscape.extras, options, inputs.landscape));
  surface.curves = {curve_in_plane(plane, checked.shape, bends, kCurvePoints)};
  Settings settings;
  settings.repeat = 1;
  settings.curve = request.shape;
  const LandscapeRequest landscape = of_plane(request);
  return run_landscape({.request = landscape,
                        .options = options,
                        .inputs = inputs.landscape,
                        .engine = engine,
                        .plane = plane,
                        .surface = std::move(surface),
                        .settings = settings},
                       caller, observer);
}

TrainingData training_data(const CurveRequest& request, const LandscapeInputs& inputs, std::optional<DataSet> images,
                           at::Device device, Observer& observer) {
  const std::int64_t asked = request.landscape.batch_size;
  if (inputs.file) {
    const std::int64_t batch_size = asked > 0 && !inputs.file->is_fixed_batch() ? asked : inputs.file->batch_size();
    const ProblemSplit train = problem_split(*inputs.file, request.landscape.data, Split::train, device, observer);
    const std::string sha256 = train.sha256.empty() ? train.source->sha256() : train.sha256;
    return {nullptr, train.source, train.source->size(), batch_size, sha256};
  }
  normalize(request.landscape.data, *images, inputs.metadata);
  const auto size = static_cast<std::int64_t>(images->size());
  const std::string sha256 = digest_of(*images);
  return {std::make_shared<const DataSet>(std::move(*images)), nullptr, size, asked, sha256};
}

/// The bends are in their files, and the history of the training if there was one now; nothing if it was interrupted.
std::optional<json> find_curve(const CheckedCurve& checked, const CurveInputs& inputs, const at::Device& device,
                               const Settings& settings, const TrainingData& train, const Caller& caller,
                               Observer& observer) {
  const LandscapeRequest& landscape = checked.request.landscape;
  const auto state = state_file(checked.request);
  if (landscape.resume && !std::filesystem::exists(state) && std::filesystem::exists(landscape.out)) return json();
  const auto trained = train_curve(checked.request, checked.shape, inputs, device, settings, train, observer);
  if (!trained) {
    observer.on_note(
        fmt::format("interrupted; the curve so far is in {}; continue with: {}", state.string(), caller.again));
  }
  return trained;
}

/// Sends the bends to ranks that do not see rank 0's folder, which then find them under another prefix. False if rank 0
/// was stopped.
bool broadcast_bends(CurveRequest& request, FileCopies& copies, Ranks& ranks, Observer& observer) {
  FileTree tree;
  if (ranks.is_first()) {
    for (const auto& file : bend_files(request)) tree.add(file);
  }
  std::vector<std::string> prefix{bend_prefix(request).string()};
  if (!copies.share(tree, prefix, ranks, observer.should_stop())) return false;
  request.save_bends = copies.place(prefix.front());
  return true;
}

Outcome run(CheckedCurve checked, const Caller& caller, Observer& observer) {
  const CurveRequest& request = checked.request;
  for (const std::string& note : checked.notes) observer.on_note("note: " + note);
  const auto device = open_device(request.landscape.device);
  std::optional<DataSet> images;  // before the checkpoints: wrong data are said at once
  if (request.landscape.problem.empty()) images = load(request.landscape.data, Split::train, observer);
  const CurveInputs inputs = read_inputs(request, checked.landscape, device, observer);
  const TrainingData train = training_data(request, inputs.landscape, std::move(images), device, observer);
  const Settings settings = curve_settings(request, inputs.landscape, train, device);
  std::optional<json> history = json();
  if (leads(caller.ranks)) history = find_curve(checked, inputs, device, settings, train, caller, observer);
  const std::string found = history ? "found" : "interrupted";  // by one process; others wait for it
  if ((caller.ranks ? caller.ranks->broadcast(found) : found) == "interrupted") return {};
  FileCopies copies;
  if (caller.ranks && request.landscape.broadcast &&
      !broadcast_bends(checked.request, copies, *caller.ranks, observer)) {
    return {};
  }
  const Engine engine = make_engine(request.landscape, checked.landscape, inputs.landscape, device);
  const auto bends = read_bends(request, inputs);
  Outcome outcome = evaluate_curve(request, checked, inputs, engine, bends, settings, *history, caller, observer);
  if (!outcome.finished) return outcome;
  std::error_code ignored;
  if (leads(caller.ranks)) std::filesystem::remove(state_file(request), ignored);
  if (request.plane_out.empty()) return outcome;
  Outcome of_plane = draw_plane(request, checked, inputs, engine, caller, observer);
  of_plane.files.insert(of_plane.files.begin(), outcome.files.begin(), outcome.files.end());
  return of_plane;
}

}  // namespace

Job prepare(CurveRequest request, Caller caller) {
  refuse_shard(request.landscape, "a curve");
  if (request.landscape.problem.empty() && request.landscape.batch_size == 0) {
    request.landscape.batch_size = kDefaultBatch;
  }
  if (!request.landscape.problem.empty() && request.augment) {
    throw UsageError("`augment`: a problem file holds its data; store augmented samples in it");
  }
  std::vector<std::string> notes;
  settle_split(request.landscape, notes);
  CheckedCurve checked{request, check(request.landscape), curve_shape_of(request.shape), notes};
  for (auto* end : {&checked.request.from, &checked.request.to}) *end = checkpoint_of(*end, checked.notes);
  if (leads(caller.ranks)) check_files(checked.request);
  return [checked = std::move(checked), caller = std::move(caller)](Observer& observer) {
    return run(checked, caller, observer);
  };
}

}  // namespace lossatlas
