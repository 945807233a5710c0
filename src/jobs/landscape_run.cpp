#include "jobs/landscape_run.h"

#include <ATen/Parallel.h>
#include <ATen/ops/equal.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/lock.h"
#include "base/process.h"
#include "evaluation/evaluator.h"
#include "jobs/metadata.h"
#include "jobs/outputs.h"
#include "jobs/rank_run.h"
#include "jobs/second_derivatives.h"
#include "jobs/surface_run.h"
#include "landscape/axis_sweep.h"
#include "landscape/direction_file.h"
#include "models/registry.h"
#include "surface/journal.h"
#include "surface/summary.h"

namespace lossatlas {
namespace {

using nlohmann::json;

/// A wrong normalization of the images is the commonest mistake, and silent. Poor is ten points below the accuracy that
/// the checkpoint recorded, or below three times chance where it recorded none.
void warn_of_poor_centre(const Evaluation& centre, const json& metadata, const NetworkSpec& spec, Observer& observer) {
  const double chance = 100.0 / static_cast<double>(spec.classes);
  const double recorded = metadata_value(metadata, "acc", std::nan(""));
  const bool known = recorded >= 0 && recorded <= 100;
  const bool poor = known ? centre.accuracy + 3 * centre.accuracy_se + 10 < recorded : centre.accuracy < 3 * chance;
  if (metadata_value(metadata, "epoch", 1.0) == 0 || metadata_value(metadata, "step", 1.0) == 0) {
    observer.on_note("note: this checkpoint was saved before training");
  } else if (poor) {
    observer.on_note(fmt::format(
        "warning: {:.1f} % accuracy at the centre is poor for a trained network{}; are `mean` and `std` those it "
        "was trained with, and is it the right data?",
        centre.accuracy, known ? fmt::format(" (the checkpoint recorded {:.1f} %)", recorded) : ""));
  }
}

/// What is worth knowing of the network before it runs.
void say_of_network(const LandscapeTask& task, Observer& observer) {
  const std::string file = task.inputs.checkpoint.string(), arch = task.request.network.arch, twin = twin_of(arch);
  if (!twin.empty() && metadata_value<std::string>(task.inputs.metadata, "arch", "") != arch) {
    observer.on_note(
        fmt::format("note: {} fits {} as well, whose shortcuts have no parameters; `arch` chose {}", file, twin, arch));
  }
  const Capabilities engine = task.engine.capabilities();
  if (task.inputs.file && !engine.per_sample) {
    observer.on_note(fmt::format("note: {}: {}; batches are {} samples, in the order of the file",
                                 task.inputs.file->file().string(), task.inputs.problem->coupling(),
                                 task.engine.options().batch_size));
  } else if (!engine.per_sample) {
    observer.on_note(
        fmt::format("warning: {}: {}, so the loss depends on `batch_size` (here {}); to use those of training, call "
                    "model.eval() before torch.jit.trace",
                    file, task.inputs.problem->coupling(), task.engine.options().batch_size));
  }
  const bool has_images = !task.inputs.file || task.inputs.file->inputs().front().shape.size() == 3;
  if (!engine.why_not_fused.empty() && has_images) {  // else it is no news
    observer.on_note("note: LibTorch runs this network, operator by operator: it has " + engine.why_not_fused);
  }
}

/// Cosines of each pair of directions, and all lengths; lists if there are several planes.
void add_angles_of_planes(const Planes& planes, std::size_t count, Settings& settings) {
  json cosines = json::array(), lengths = json::array();
  for (std::size_t repeat = 0; repeat < count; ++repeat) {
    const auto plane = planes.at(repeat);
    const auto& directions = plane->directions;
    json of_pairs = json::array(), of_each = json::array();
    for (std::size_t i = 0; i < directions.size(); ++i) {
      of_each.push_back(norm(directions[i]));
      for (std::size_t k = i + 1; k < directions.size(); ++k) of_pairs.push_back(cosine(directions[i], directions[k]));
    }
    cosines.push_back(of_pairs.size() == 1 ? of_pairs[0] : of_pairs);
    lengths.push_back(of_each);
  }
  settings.cosine = count > 1 ? cosines : cosines.at(0);
  settings.lengths = count > 1 ? lengths : lengths.at(0);
}

/// Of a fan: the lengths of all lines, and the cosines of all but the first with the first.
void add_angles_of_lines(const Planes& planes, const Surface& surface, Settings& settings) {
  const auto first =
      planes.at(0);  // of one line too: a direction that cannot be made is refused before anything is said
  const auto* fan = std::get_if<FanLines>(&surface.form);
  if (!fan) return;
  json cosines = json::array(), lengths = json::array({norm(first->directions[0])});
  for (std::size_t line = 1; line < fan->count; ++line) {
    const auto plane = planes.at(line);
    cosines.push_back(cosine(first->directions[0], plane->directions[0]));
    lengths.push_back(norm(plane->directions[0]));
  }
  settings.cosine = cosines;
  settings.lengths = lengths;
}

/// Completes the surface with what is known before a point is evaluated.
void describe(LandscapeTask& task, const Planes& planes, const Caller& caller) {
  Surface& surface = task.surface;
  surface.samples[0].indices = task.inputs.images.samples;
  if (surface.has_both_splits()) surface.samples[1].indices = task.inputs.second.samples;
  surface.points = task.plane.points;
  surface.unit = task.plane.unit;
  surface.trajectory = task.plane.trajectory;
  Settings settings = settings_of(task.request, task.options, task.inputs, task.engine);
  merge(settings, task.plane.settings);
  settings.kind = kind_of(surface);
  settings.measures = names_of(surface.measures());
  settings.axes.emplace();
  for (const Axis& axis : surface.grid.axes) settings.axes->push_back({axis.name, axis.points, axis.low, axis.high});
  merge(settings, task.settings);
  if (!task.request.shard.empty()) settings.shard = task.request.shard;
  if (surface.is_line()) {
    add_angles_of_lines(planes, surface, settings);
  } else {
    add_angles_of_planes(planes, settings.repeat.value(), settings);
  }
  surface.settings = json_of(settings);
  surface.provenance.update({{"command", caller.command},
                             {"version", caller.version},
                             {"started", utc_now()},
                             {"threads", task.request.threads}});
}

/// Along directions of states a variance may fall below 0, where no network is: the loss there is not a number.
void warn_of_variances(const Planes& planes, const Surface& surface, Observer& observer) {
  const auto plane = planes.at(0);
  NetworkState point = copy_state(planes.origin(), planes.origin().flat.device());
  for (std::size_t corner = 0; corner < std::size_t{1} << surface.grid.dimensions(); ++corner) {
    std::vector<double> at;
    for (const Axis& axis : surface.grid.axes) at.push_back((corner >> at.size() & 1) == 0 ? axis.low : axis.high);
    place_on_grid(*plane, at, point);
    for (const auto& [name, tensor] : point.buffers) {
      if (!name.ends_with("running_var") || tensor.min().item<double>() >= 0) continue;
      const std::string advice = recalibration_advice(surface);
      return observer.on_note(fmt::format(
          "note: at an end of the range a batch-norm variance falls below 0, and the loss is not a number; {} "
          "estimates statistics again, `dir_type` weights keeps those of the origin",
          advice.empty() ? "`bn` recalibrate" : advice));
    }
  }
}

bool are_equal(const std::vector<NamedTensor>& a, const std::vector<NamedTensor>& b) {
  const auto same = [](const NamedTensor& x, const NamedTensor& y) { return at::equal(x.tensor, y.tensor); };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), same);
}

/// Writes the directions for other tools. If a sweep continues, its file is there already.
void save(const std::filesystem::path& file, const LandscapeTask& task) {
  const auto directions = task.plane.directions(0);
  check_writable(file);
  if (!task.request.resume || !std::filesystem::exists(file)) {
    return write_directions(file, directions, task.plane.trajectory.pca);
  }
  const auto saved = read_directions(file, task.inputs.origin);
  const auto same = [](const Direction& a, const Direction& b) {
    return are_equal(a.parameters, b.parameters) && are_equal(a.buffers, b.buffers);
  };
  if (std::equal(saved.begin(), saved.end(), directions.begin(), directions.end(), same)) return;
  throw Error("{}: exists and holds other directions; choose another `save_directions`", file.string());
}

std::string introduction(const LandscapeTask& task) {
  const Surface& surface = task.surface;
  std::string several;
  if (surface.is_curve()) several = "curve and line of ";
  if (const auto* fan = std::get_if<FanLines>(&surface.form)) several = fmt::format("{} lines of ", fan->count);
  if (const auto* repeats = std::get_if<Repeats>(&surface.form)) several = fmt::format("{} times ", repeats->count);
  std::vector<std::size_t> points = surface.grid.shape();
  std::reverse(points.begin(), points.end());
  std::string images;
  for (const Samples& samples : surface.samples) {
    images += fmt::format("{}{} {}", images.empty() ? "" : " and ", samples.indices.size(), name_of(samples.split));
  }
  const auto& statistics = task.inputs.recalibration;
  images += fmt::format(" {} {}", samples_word(task.inputs), surface.levels() ? "in all" : "each");
  if (statistics) images += fmt::format(" and {} for batch-norm statistics", statistics->size());
  const std::string shard = task.request.shard.empty() ? "" : fmt::format(" (shard {})", task.request.shard);
  return fmt::format("{}{} points{}, {}, {} engine ({}), into {}", several, fmt::join(points, "x"), shard, images,
                     task.engine.is_fused() ? "fused" : "eager", task.engine.instruction_set(),
                     task.request.out.string());
}

/// The network as it was read, through LibTorch, with the batch-norm statistics it came with.
Evaluation evaluate_checkpoint(const LandscapeInputs& inputs, const Engine& engine, std::int64_t images) {
  EngineOptions options = engine.options();
  options.engine = EngineChoice::eager;
  options.precision = Precision::fp32;
  options.weight_decay = 0;
  options.scale_trace = {};
  const Engine eager(inputs.problem, {.first = inputs.images.source}, options, engine.device());
  const auto state = state_on(inputs.origin, engine.device());
  return eager.make_evaluator()->evaluate(state, std::array{images}).front();
}

/// The marked checkpoints' own losses, each with its own statistics, where they are not there yet.
void mark_points(Surface& surface, const LandscapeTask& task, const std::atomic<bool>& stop) {
  const Engine engine = task.engine.plain();
  const auto evaluator = engine.make_evaluator();
  for (std::size_t i = 0; i < surface.points.size() && !stop; ++i) {
    MarkedPoint& point = surface.points[i];
    const PathValues first = path_values(surface.split());
    if (point.is_known(first.loss, first.accuracy)) continue;
    const auto own = evaluator->evaluate(state_on(read_state(task.plane.files[i], task.inputs), engine.device()));
    for (std::size_t s = 0; s < surface.samples.size(); ++s) {
      const PathValues names = path_values(surface.samples[s].split, s > 0);
      const Evaluation& part = s > 0 ? own.second.at(0) : own;
      point.values[names.loss] = part.loss;
      if (surface.has_accuracy()) point.values[names.accuracy] = part.accuracy;
    }
  }
}

/// The checkpoints of a line that its grid misses, evaluated as the grid's points are, where they are not there yet.
void evaluate_ends(Surface& surface, const Planes& planes, const LandscapeTask& task, const std::atomic<bool>& stop,
                   Observer& observer) {
  const int threads = at::get_num_threads();
  at::set_num_threads(1);  // as in a sweep: the bits do not depend on the number of threads
  const Axis& axis = surface.grid.axes[0];
  const auto plane = planes.at(0);
  const auto evaluator = task.engine.make_evaluator();
  NetworkState state = copy_state(planes.origin(), task.engine.device());
  for (MarkedPoint& point : surface.points) {
    const double t = point.coordinates[0];
    const PathValues first = path_values(surface.split());
    if (stop || axis.index_of(t) || point.is_known(first.plane_loss, first.plane_accuracy)) continue;
    observer.on_note(fmt::format(
        "note: {:g} ({}) is not among the points of the range {}:{}; it is evaluated as well, for the barrier", t,
        point.name, axis.low, axis.high));
    place(*plane, point.coordinates, state);
    const Evaluation found = evaluator->evaluate(state);
    for (std::size_t s = 0; s < surface.samples.size(); ++s) {
      const PathValues names = path_values(surface.samples[s].split, s > 0);
      const Evaluation& part = s > 0 ? found.second.at(0) : found;
      point.values[names.plane_loss] = part.loss;
      if (surface.has_accuracy()) point.values[names.plane_accuracy] = part.accuracy;
    }
  }
  at::set_num_threads(threads);
}

/// Around one network: then the axes have a curvature there.
bool has_axis_curvatures(const LandscapeTask& task) {
  const auto plane = task.plane.settings.plane;
  const bool is_between_networks = plane == "points" || plane == "pca" || plane == "path";
  return !is_between_networks && task.plane.trajectory.runs.empty() && !task.surface.is_curve();
}

/// What second derivatives along the axes take, if they are asked for. Throws Error, before anything is computed, if
/// the network has none.
std::optional<AxisCurvatureTask> axis_task(const LandscapeTask& task, const Planes& planes, const Caller& caller,
                                           Observer& observer) {
  if (!has_axis_curvatures(task)) {
    if (task.request.step == 0) return std::nullopt;
    throw UsageError("`step`: requires random directions, eigenvectors, or those of a file, around one network");
  }
  AxisCurvatureTask axes{.step = task.request.step};
  if (axes.step == 0 && !task.plane.reach.empty()) {  // of eigenvectors: 2h lies within the picture
    axes.step = std::min(0.5 * std::ranges::min(task.plane.reach), kShareOfParameters * norm(task.inputs.origin));
  }
  if (!task.request.curvature || !leads(caller.ranks)) return axes;
  const LandscapeInputs& inputs = task.inputs;
  const std::int64_t batch = differentiated_batch(0, inputs);
  const NetworkState point = derivative_point(inputs, task.engine.device());
  const Smoothness smoothness = look_at_smoothness(inputs, point, batch);
  if (task.plane.settings.plane != "eigen") {  // else they were said
    note_coupling(inputs, batch, observer);
    note_smoothness(smoothness, observer);
  }
  if (inputs.recalibration || settings_from(task.surface.settings).dir_type == "states") {
    observer.on_note(
        "note: dᵀHd by autodiff holds the batch-norm statistics of the centre; the surface, and D(h), change them");
  }
  axes.autodiff = [&inputs, threads = task.request.threads](const Plane& plane, const auto& samples,
                                                            const std::atomic<bool>& stop) {
    return autodiff_curvatures(inputs, plane, samples, threads, stop);
  };
  if (smoothness.has_attention) return axes;  // another path from then on: the sweep is to have the usual bits
  const std::atomic<bool> never{false};
  std::vector<std::int64_t> few(inputs.problem->coupling().empty() ? 1 : static_cast<std::size_t>(batch));
  few.resize(std::min(few.size(), static_cast<std::size_t>(inputs.images.source->size())));
  std::iota(few.begin(), few.end(), 0);
  axes.autodiff(*planes.at(0), inputs.images.source->subset(few), never);
  return axes;
}

/// The maps, if they are asked for.
std::optional<EigenMapTask> map_task(const LandscapeTask& task) {
  if (task.map_products == 0) return std::nullopt;
  const LandscapeInputs& inputs = task.inputs;
  const std::int64_t batch = differentiated_batch(0, inputs);
  const auto batches = static_cast<int>((inputs.images.source->size() + batch - 1) / batch);
  const int threads = std::max(1, task.request.threads), each = std::min(threads, batches);
  const auto most_kept = kMostKept / static_cast<std::uint64_t>(threads / each);
  const auto products_at = [&inputs, batch, each, most_kept](const NetworkState& point, const std::atomic<bool>* stop) {
    return LossProducts(*inputs.problem, inputs.images.source, derivative_point(inputs, point, point.flat.device()),
                        {.batch_size = batch, .threads = each, .most_kept = most_kept, .stop = stop});
  };
  return EigenMapTask{task.map_products, batch, batches, products_at};
}

/// Throws Error for a range, made from what was read, on which no grid can be.
void check_range(const std::string& option, const Axis& axis) {
  if (axis.has_distinct_points()) return;
  throw Error("the range {}:{} does not hold {} different finite numbers; choose another with {}", axis.low, axis.high,
              axis.points, option);
}

}  // namespace

void check_files(const LandscapeRequest& request, const std::filesystem::path& save_directions,
                 std::vector<std::filesystem::path> inputs, const std::vector<Output>& more) {
  const auto& out = request.out;
  const auto holder = FileLock::holder(lock_of(out));
  if (holder) throw Error("{}", busy_text(out, *holder));
  check_output("`out`", out, true);
  if (!request.force && !request.resume) {
    for (const auto& file : {out, journal_of(out)}) {
      if (!std::filesystem::exists(file)) continue;
      throw Error("{}: exists; continue it with `resume`, replace it with `force`, or choose another `out`",
                  file.string());
    }
  }
  if (!save_directions.empty()) check_output("`save_directions`", save_directions, request.force || request.resume);
  std::vector<Output> outputs{{"`out`", out, true}, {"`save_directions`", save_directions}, {"`log`", request.log}};
  outputs.insert(outputs.end(), more.begin(), more.end());
  inputs.push_back(request.checkpoint);
  inputs.push_back(request.problem);
  if (request.problem.empty() && request.data.data.empty()) {
    throw UsageError("`data` is required: {}", list_of_data_kinds());
  }
  for (const auto& file : data_files(spec_of(request.data))) inputs.push_back(file);
  check_apart(outputs, inputs);
  check_beside(out);
}

Outcome run_landscape(LandscapeTask task, const Caller& caller, Observer& observer) {
  say_of_network(task, observer);
  for (std::size_t k = 0; k < task.surface.grid.dimensions(); ++k) {
    check_range(range_field(k), task.surface.grid.axes[k]);
  }
  for (const auto& notes : {notes_of(task.inputs), task.plane.notes}) {
    for (const std::string& note : notes) observer.on_note("note: " + note);
  }
  const Planes planes(state_on(task.inputs.origin, task.engine.device()), task.plane.directions, task.plane.locate);
  describe(task, planes, caller);
  task.surface.direction_file = task.plane.direction_file.string();
  if (!task.save_directions.empty()) {
    task.surface.direction_file = task.save_directions.string();
    if (leads(caller.ranks)) save(task.save_directions, task);
  }
  const bool moves_variances = settings_from(task.surface.settings).dir_type == "states" && !task.inputs.recalibration;
  const auto judge_centre = [&](const Evaluation& centre) {
    if (moves_variances) warn_of_variances(planes, task.surface, observer);
    const double loss = std::isnan(centre.loss) ? std::nan("") : centre.loss;  // without a sign
    const std::string accuracy = task.surface.has_accuracy() ? fmt::format(", accuracy {:.2f} %", centre.accuracy) : "";
    observer.on_note(fmt::format("centre: loss {:.6g}{}", loss, accuracy));
    const auto& inputs = task.inputs;
    if (!std::isfinite(loss) || inputs.file) return;  // the summary has a hint for a loss that is not finite
    warn_of_poor_centre(centre, inputs.metadata, inputs.spec, observer);
    if (task.options.loss == LossFunction::cross_entropy && gives_probabilities(inputs.spec, *inputs.images.source)) {
      observer.on_note(
          "hint: each row of the network's outputs sums to 1, as after a softmax, and cross-entropy applies one "
          "itself; save the network without its last softmax");
    }
  };
  const auto check = [&](std::int64_t images) { return evaluate_checkpoint(task.inputs, task.engine, images); };
  auto mark = task.mark;
  if (!mark && !task.surface.points.empty()) {
    mark = [&](Surface& surface, const std::atomic<bool>& stop) {
      mark_points(surface, task, stop);
      if (surface.is_line() && !surface.is_curve()) evaluate_ends(surface, planes, task, stop, observer);
    };
  }
  const LandscapeRequest& request = task.request;
  const auto axes = axis_task(task, planes, caller, observer);
  return run_surface({.out = request.out,
                      .planes = planes,
                      .engine = task.engine,
                      .surface = task.surface,
                      .threads = request.threads,
                      .resume = request.resume,
                      .force = request.force,
                      .introduction = introduction(task),
                      .again = caller.again,
                      .judge_centre = judge_centre,
                      .evaluate_checkpoint = check,
                      .goal = task.goal,
                      .ranks = caller.ranks,
                      .axes = axes,
                      .maps = map_task(task),
                      .paths = task.paths,
                      .mark = mark},
                     observer);
}

}  // namespace lossatlas
