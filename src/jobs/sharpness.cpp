#include "jobs/sharpness.h"

#include <ATen/Parallel.h>
#include <ATen/ops/linalg_vector_norm.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <mutex>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/lock.h"
#include "base/process.h"
#include "base/stopwatch.h"
#include "base/text.h"
#include "curvature/curvature_progress.h"
#include "curvature/lanczos.h"
#include "curvature/sharpness_table.h"
#include "curvature/trace.h"
#include "evaluation/device.h"
#include "evaluation/loss_products.h"
#include "jobs/curvature_run.h"
#include "jobs/inputs.h"
#include "jobs/landscape_run.h"
#include "jobs/metadata.h"
#include "jobs/outputs.h"
#include "jobs/planes.h"
#include "jobs/rank_run.h"
#include "jobs/run_files.h"
#include "jobs/second_derivatives.h"
#include "jobs/shared_products.h"
#include "jobs/surface_run.h"
#include "landscape/direction.h"
#include "landscape/parameter_choice.h"
#include "landscape/plane.h"
#include "landscape/work.h"
#include "storage/hdf5.h"
#include "surface/resume.h"

namespace lossatlas {
namespace {

using nlohmann::json;

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

struct CheckedTable {
  CurvatureRequest request;
  LandscapeOptions landscape;
  std::vector<std::filesystem::path> files;
  bool is_run = false;  // each but the first follows the one before
  std::vector<std::string> notes;
};

CheckedTable check(CurvatureRequest request, LandscapeOptions options) {
  const auto refuse = [](const char* option) {
    throw UsageError("{}: is of one checkpoint; leave it out of a table of several", option);
  };
  if (request.by_module) refuse("`by` module");
  if (request.density_probes > 0) refuse("`density`");
  if (request.scale_probes > 0) refuse("`scale_curvature`");
  if (!request.save_directions.empty()) refuse("`save_directions`");
  if (request.matrix != "hessian") throw UsageError("`operator` {}: sharpness is that of the hessian", request.matrix);
  if (request.largest == 0) throw UsageError("`top` 0: a table has the largest eigenvalue");
  if (!(request.rho > 0)) throw UsageError("`rho` {}: requires a number above 0", request.rho);
  if (!(request.sigma > 0)) throw UsageError("`sigma` {}: requires a number above 0", request.sigma);
  CheckedTable checked{request, options, {}, !request.run.empty(), {}};
  if (checked.is_run) {
    if (!request.checkpoints.empty()) throw UsageError("`run`: cannot be used with `checkpoint`");
    checked.files = run_of_words("`run`", request.run).files;
    if (request.every > 1) {
      std::vector<std::filesystem::path> kept;
      for (std::size_t k = 0; k < checked.files.size(); k += request.every) kept.push_back(checked.files[k]);
      if (kept.back() != checked.files.back()) kept.push_back(checked.files.back());
      checked.files = kept;
    }
    return checked;
  }
  if (request.every > 1) throw UsageError("`every`: requires `run`");
  for (const auto& file : request.checkpoints) {
    checked.files.push_back(checkpoint_of(file, checked.notes));
    for (std::size_t k = 0; k + 1 < checked.files.size(); ++k) {
      if (same_file(checked.files[k], checked.files.back())) {
        throw UsageError("`checkpoint`: {} is named twice", file.string());
      }
    }
  }
  if (checked.files.empty()) checked.files.push_back(request.landscape.problem);
  if (checked.files.front().empty()) throw UsageError(kNoCheckpoint);
  return checked;
}

/// ‖θ_f‖ of each number's filter f, 0 for parameters of one dimension: in a vector of the chosen parameters.
Vector filter_norms(const NetworkTensors& state, const std::vector<std::size_t>& places,
                    const std::vector<Slices>& slices) {
  Vector norms;
  for (const std::size_t place : places) {
    const at::Tensor& tensor = state.parameters[place].tensor;
    if (tensor.dim() < 2) {
      norms.insert(norms.end(), static_cast<std::size_t>(tensor.numel()), 0.0F);
      continue;
    }
    const std::int64_t axis = place < slices.size() ? slices[place].axis : 0;
    std::vector<std::int64_t> others;
    for (std::int64_t k = 0; k < tensor.dim(); ++k) {
      if (k != axis) others.push_back(k);
    }
    const at::Tensor of_each =
        at::linalg_vector_norm(tensor.to(at::kDouble), 2, others, /*keepdim=*/true).to(at::kFloat).expand_as(tensor);
    const at::Tensor numbers = of_each.contiguous();
    const auto from = numbers_of(numbers);
    norms.insert(norms.end(), from.begin(), from.end());
  }
  return norms;
}

/// The step at which the loss has risen above that at 0, by `rises` of less than ten evaluations: from a first guess
/// doubled or halved until it lies between two, then by halving what is between them on a log scale. Not a number if it
/// rises at once, infinite if not within reach.
double critical_step(double guess, const std::function<bool(double)>& rises) {
  constexpr int kMost = 9;
  int made = 0;
  const auto ask = [&](double step) { return ++made, rises(step); };
  double low = 0, high = 0, step = guess;
  const bool is_beyond = ask(step);
  (is_beyond ? high : low) = step;
  while (made < kMost - 3 && (low == 0 || high == 0)) {
    step *= is_beyond ? 0.25 : 4;
    (ask(step) ? high : low) = step;
  }
  if (low == 0) return kUnknown;
  if (high == 0) return std::numeric_limits<double>::infinity();
  while (made < kMost) {
    step = std::sqrt(low * high);
    (ask(step) ? high : low) = step;
  }
  return std::sqrt(low * high);
}

class TableRun {
 public:
  TableRun(const CheckedTable& checked, const Caller& caller, const LandscapeInputs& inputs, const Engine& engine,
           Observer& observer)
      : checked_(checked),
        request_(checked.request),
        caller_(caller),
        inputs_(inputs),
        engine_(engine.plain()),
        observer_(observer),
        places_(parameters_of(request_.parameters, inputs.origin)) {
    for (const auto& file : checked.files) {  // what cannot be read is said before any work
      identities_.push_back(identity_of_checkpoint(file, inputs));
      metadata_.push_back(inputs.known->at(file).metadata);
      forget(file);
    }
    table_ = SharpnessTable(short_names(checked.files));
    table_.settings = settings(engine);
    table_.provenance = {{"command", caller.command},
                         {"version", caller.version},
                         {"started", utc_now()},
                         {"threads", request_.landscape.threads}};
  }

  /// On ranks but the first: computes rows that rank 0 hands out.
  void help(Ranks& ranks) {
    compare_ranks(ranks);
    ranks.next_request(observer_.should_stop());
    serve(work(), ranks);
  }

  Outcome run() {
    const auto& out = request_.landscape.out;
    remove_temporaries(out, kHdf5Begin);
    go_on();
    if (table_.is_finished()) {
      observer_.on_note(fmt::format("{}: complete; nothing is left to do", out.string()));
      save();
      return outcome();
    }
    if (caller_.ranks) compare_ranks(*caller_.ranks);
    observer_.on_note(fmt::format("sharpness of {} checkpoint{}, {} {} each, into {}", checked_.files.size(),
                                  checked_.files.size() == 1 ? "" : "s", inputs_.images.samples.size(),
                                  samples_word(inputs_), out.string()));
    if (const auto there = table_.rows().size(); there > 0) {
      observer_.on_note(fmt::format("resuming: {} rows are there", there));
    }
    save();
    std::vector<std::size_t> items;
    for (std::size_t row = 0; row < table_.checkpoints.size(); ++row) {
      if (!table_.has(row)) items.push_back(row);
    }
    SweepHooks hooks = hooks_of(observer_, caller_.again);
    hooks.take = [&](std::size_t row, const ItemResult& result) { take(row, result.images.losses); };
    try {
      carry_out(work(), items, caller_.ranks, hooks);
    } catch (const UsageError&) {
      throw;
    } catch (const Error& error) {
      observer_.on_progress_end();
      throw Error("{}; {} of {} rows are kept in {}", error.what(), table_.rows().size(), table_.checkpoints.size(),
                  out.string());
    }
    if (!table_.is_finished()) {
      observer_.on_progress_end();
      observer_.on_note(fmt::format("interrupted; {} of {} rows are in {}; continue with: {}", table_.rows().size(),
                                    table_.checkpoints.size(), out.string(), caller_.again));
    }
    for (const std::string& line : sharpness_lines(table_)) observer_.on_note(line);
    return outcome();
  }

 private:
  /// Rows, each by all threads of a process.
  Work work() {
    const auto on_thread = [this]() -> EvaluateItem {
      return [this](std::size_t number) -> ItemResult {
        ItemResult result;
        at::set_num_threads(request_.landscape.threads);
        try {
          result.images.losses = row(number);
        } catch (const ProductsStopped&) {
          result.images.losses.clear();  // an interrupted row begins again
        }
        return result;
      };
    };
    return {.request = "rows",
            .on_thread = on_thread,
            .threads = request_.landscape.threads,
            .threads_each = std::numeric_limits<int>::max()};
  }

  void compare_ranks(Ranks& ranks) {
    const Plane first{copy_state(inputs_.origin, engine_.device()), {}};
    const auto all =
        lossatlas::compare_ranks(ranks, table_.settings, first, request_.landscape.threads, engine_.device());
    if (ranks.is_first()) table_.provenance["ranks"] = all;
  }

  /// A row that this or another process has computed; nothing of one that was interrupted.
  void take(std::size_t row, const std::vector<double>& numbers) {
    if (numbers.empty()) return;
    const std::scoped_lock lock(mutex_);
    table_.set(row, numbers);
    save();
    observer_.on_progress_end();
    if (std::isnan(number_of(row, "sam_sharpness"))) {
      observer_.on_note(fmt::format("warning: {}: the loss at `rho` {} along the gradient is not a number",
                                    table_.checkpoints[row], request_.rho));
    }
    observer_.on_note(fmt::format("{} of {}: {}", table_.rows().size(), table_.checkpoints.size(), text_of_row(row)));
  }

  json settings(const Engine& engine) const {
    Settings settings = settings_of(request_.landscape, checked_.landscape, inputs_, engine);
    settings.kind = "sharpness";
    settings.seed = request_.seed;
    settings.points = identities_;
    json all = json_of(settings);
    all.update({{"top", request_.largest},
                {"tolerance", request_.tolerance},
                {"trace", request_.trace_probes},
                {"rho", request_.rho},
                {"sigma", request_.sigma},
                {"draws", request_.draws},
                {"run", checked_.is_run},
                {"parameters", request_.parameters.empty() ? json(nullptr) : json(request_.parameters)}});
    return json::parse(json_text(all));  // as the file stores them
  }

  /// A run's checkpoints are many: only those of a row are held.
  void forget(const std::filesystem::path& file) const {
    if (file != inputs_.checkpoint) inputs_.known->erase(file);
  }

  NetworkState read_again(std::size_t number) const {
    const auto& file = checked_.files[number];
    const NetworkState state = read_state(file, inputs_);
    if (inputs_.known->at(file).sha256 != identities_[number].sha256) {
      throw Error("{}: was replaced by another checkpoint meanwhile", file.string());
    }
    forget(file);
    return state;
  }

  void go_on() {
    table_.provenance["resumes"] = 0;
    const auto& out = request_.landscape.out;
    if (!request_.landscape.resume || !std::filesystem::exists(out)) return;
    const SharpnessTable before = read_sharpness(out);
    const auto other = difference(table_.settings, before.settings);
    if (other && !(other->arithmetic && request_.landscape.force)) {
      throw Error("{}: this table has other settings: {}; resume it with its own, or choose another `out`",
                  out.string(), other->text);
    }
    seconds_before_ = before.provenance.value("seconds", 0.0);
    table_.columns = before.columns;
    table_.provenance = before.provenance;
    table_.provenance["resumes"] = before.provenance.value("resumes", 0) + 1;
  }

  /// All numbers of one checkpoint.
  std::vector<double> row(std::size_t number) {
    const auto& file = checked_.files[number];
    const NetworkState state = read_again(number);
    const NetworkState point = derivative_point(inputs_, state, engine_.device());
    std::map<std::string_view, double> values;
    values["epoch"] = metadata_value(metadata_[number], "epoch", kUnknown);
    values["step"] = metadata_value(metadata_[number], "step", kUnknown);
    LossProducts products(*inputs_.problem, inputs_.images.source, point,
                          {.batch_size = request_.landscape.batch_size,
                           .parameters = places_,
                           .threads = request_.landscape.threads,
                           .stop = &observer_.should_stop(),
                           .on_batch = [this] { on_batch(); }});
    products_ = &products;
    const Vector gradient = add_slope(products, file, values);
    add_eigenvalues(products, state, values);
    add_steps(point, gradient, state, number, values);
    std::vector<double> found;
    for (const SharpnessColumn& column : sharpness_columns()) {
      const auto value = values.find(column.name);
      found.push_back(value == values.end() ? kUnknown : value->second);
    }
    return found;
  }

  Vector add_slope(LossProducts& products, const std::filesystem::path& file,
                   std::map<std::string_view, double>& values) {
    stage_ = "gradient";
    auto slope = products.slope();
    if (!slope) throw ProductsStopped();
    const Sum& loss = slope->sums[0];
    if (!std::isfinite(loss.mean()) || !std::isfinite(norm(slope->gradient))) {
      throw Error("{}: the loss, or its gradient, is not finite: it has no sharpness", file.string());
    }
    values["loss"] = loss.mean();
    values["loss_se"] = loss.standard_error(static_cast<double>(inputs_.images.population));
    values["gradient_norm"] = norm(slope->gradient);
    const auto& measures = products.measures();
    for (std::size_t m = 0; m < measures.size(); ++m) {
      if (measures[m].name == "accuracy") values["accuracy"] = 100 * slope->sums[m].mean();
    }
    return std::move(slope->gradient);
  }

  void add_eigenvalues(LossProducts& products, const NetworkState& state, std::map<std::string_view, double>& values) {
    stage_ = "eigenvalues";
    const SymmetricOperator hessian{products.size(), [&](auto in, auto out) { multiply(products, in, out); }};
    LanczosOptions options{.largest = request_.largest,
                           .smallest = 0,
                           .tolerance = request_.tolerance,
                           .most_products = request_.most_products,
                           .seed = request_.seed};
    auto result = lanczos(hessian, options);
    const auto images = measure(hessian, result.pairs);
    values["lambda_max"] = result.pairs.values.front();
    values["lambda_max_residual"] = result.pairs.residuals.front();
    if (request_.trace_probes > 0) {
      stage_ = "trace";
      Trace trace = begin_trace(result.pairs.vectors, images, {}, false);
      while (trace.probes.size() < request_.trace_probes) {
        const std::size_t count = std::min<std::size_t>(4, request_.trace_probes - trace.probes.size());
        add_probes(hessian, result.pairs.vectors, count, request_.trace_probes, request_.seed, trace);
      }
      values["trace"] = trace.value().value;
      values["trace_se"] = trace.value().standard_error;
    }
    stage_ = "normalized";
    const Vector norms = filter_norms(state, places_, slices_of(inputs_));
    if (std::ranges::all_of(norms, [](float length) { return length == 0; })) return;
    const auto scaled = [&](const Vector& vector) {
      Vector product(vector.size());
      for (std::size_t i = 0; i < vector.size(); ++i) product[i] = norms[i] * vector[i];
      return product;
    };
    const SymmetricOperator normalized{products.size(), [&](std::span<const Vector> in, std::span<Vector> out) {
                                         std::vector<Vector> to;
                                         for (const Vector& vector : in) to.push_back(scaled(vector));
                                         multiply(products, to, out);
                                         for (Vector& vector : out) vector = scaled(vector);
                                       }};
    options.largest = 1;
    auto sharpest = lanczos(normalized, options).pairs;
    measure(normalized, sharpest);
    values["lambda_max_normalized"] = sharpest.values.front();
  }

  void multiply(LossProducts& products, std::span<const Vector> in, std::span<Vector> out) {
    batches_ = 0;
    together_ = in.size();
    lossatlas::multiply(products, in, out);
    made_ += in.size();
  }

  void on_batch() {
    ++batches_;
    const double share = static_cast<double>(batches_) / static_cast<double>(products_->batches());
    const double samples = static_cast<double>(products_->samples().size());
    const std::scoped_lock lock(mutex_);
    observer_.on_progress(
        CurvatureProgress{.stage = stage_,
                          .done = static_cast<double>(table_.rows().size()) + std::min(1.0, share),
                          .planned = checked_.files.size(),
                          .largest = kUnknown,
                          .images_per_second = (static_cast<double>(made_) + share * static_cast<double>(together_)) *
                                               samples / std::max(watch_.seconds(), 1e-3),
                          .sample = "sample"});
  }

  /// L(θ + step · direction) for each of so many steps, by the engine that evaluates surfaces.
  std::vector<double> losses(const NetworkState& point, std::size_t count,
                             const std::function<std::pair<Direction, double>(std::size_t)>& step_of) const {
    std::vector<std::size_t> items(count);
    for (std::size_t k = 0; k < count; ++k) items[k] = k;
    SweepHooks hooks;
    hooks.stop = &observer_.should_stop();
    const auto on_thread = [&]() -> EvaluateItem {
      const std::shared_ptr<Evaluator> evaluator = engine_.make_evaluator();
      const auto there = std::make_shared<NetworkState>(copy_state(point, engine_.device()));
      return [&, evaluator, there](std::size_t item) -> ItemResult {
        const auto [direction, step] = step_of(item);
        const Plane line{point, {state_on(direction, engine_.device())}};
        place(line, std::array{step}, *there);
        return {.values = {evaluator->evaluate(*there)}, .images = {}};
      };
    };
    const auto results = collect(
        {.request = {}, .on_thread = on_thread, .threads = engine_.device().is_cpu() ? request_.landscape.threads : 1},
        items, nullptr, hooks);
    if (!results) throw ProductsStopped();
    std::vector<double> found;
    for (const ItemResult& result : *results) found.push_back(result.values.front().loss);
    return found;
  }

  /// What takes forward passes alone.
  void add_steps(const NetworkState& point, const Vector& gradient, const NetworkState& here, std::size_t number,
                 std::map<std::string_view, double>& values) {
    stage_ = "forward passes";
    const Direction downhill = direction_of(gradient, places_, inputs_.origin);
    const double length = values["gradient_norm"];
    DirectionOptions options{.seed = request_.seed, .parameters = request_.parameters, .slices = slices_of(inputs_)};
    const NetworkState on_cpu = state_on(point, at::kCPU);
    // The centre, the ascent of SAM, and the draws.
    const auto found = losses(point, 2 + request_.draws, [&](std::size_t item) -> std::pair<Direction, double> {
      if (item == 0) return {downhill, 0};
      if (item == 1) return {downhill, length > 0 ? request_.rho / length : 0};
      return {random_direction(on_cpu, static_cast<std::uint32_t>(item - 2), options), request_.sigma};
    });
    const double centre = found[0];
    values["sam_sharpness"] = found[1] - centre;
    std::vector<double> rises;
    for (std::size_t k = 2; k < found.size(); ++k) rises.push_back(found[k] - centre);
    if (!rises.empty()) {
      values["expected_sharpness"] = estimate_of(rises).value;
      values["expected_sharpness_se"] = estimate_of(rises).standard_error;
    }
    if (length > 0) values["critical_sharpness"] = critical(point, downhill, centre, values["lambda_max"]);
    if (!checked_.is_run || number == 0) return;
    // The part of the gradient along the last update: u = Δ ⟨g, Δ⟩ / ‖Δ‖², Δ from this checkpoint to the one before.
    Direction update = zeros_like(inputs_.origin, StatePart::parameters);
    const NetworkState before = read_again(number - 1);
    for (const std::size_t place : places_) {
      update.parameters[place].tensor.copy_(before.parameters[place].tensor).sub_(here.parameters[place].tensor);
    }
    const double along = dot(downhill, update), square = dot(update, update);
    if (!(along > 0) || !(square > 0)) return;  // the loss rises at once
    for (const std::size_t place : places_) update.parameters[place].tensor.mul_(along / square);
    values["critical_sharpness_update"] = critical(point, update, centre, values["lambda_max"]);
  }

  /// 2/η along -direction.
  double critical(const NetworkState& point, const Direction& direction, double centre, double lambda_max) const {
    const double guess = 2 / std::max(std::abs(lambda_max), 1e-6);
    const double step = critical_step(guess, [&](double eta) {
      const auto loss = losses(point, 1, [&](std::size_t) { return std::pair<Direction, double>{direction, -eta}; });
      return !(loss[0] <= centre);
    });
    return std::isinf(step) ? 0.0 : 2 / step;
  }

  double number_of(std::size_t row, std::string_view column) const {
    const auto& all = sharpness_columns();
    const auto at = std::ranges::find(all, column, &SharpnessColumn::name);
    return table_.columns[static_cast<std::size_t>(at - all.begin())][row];
  }

  std::string text_of_row(std::size_t row) const {
    const double trace = number_of(row, "trace");
    return fmt::format("{}: loss {:.4g}, λmax {:.4g}{}", table_.checkpoints[row], number_of(row, "loss"),
                       number_of(row, "lambda_max"), std::isnan(trace) ? "" : fmt::format(", trace {:.4g}", trace));
  }

  void save() {
    table_.provenance["seconds"] = seconds_before_ + watch_.seconds();
    write_sharpness(request_.landscape.out, table_);
    if (request_.csv.empty()) return;
    const std::string text = sharpness_csv(table_);
    write_atomically(request_.csv, [&](const ByteSink& sink) { sink(std::as_bytes(std::span(text))); });
  }

  Outcome outcome() const {
    Outcome outcome{.files = {request_.landscape.out}, .finished = table_.is_finished()};
    if (!request_.csv.empty()) outcome.files.push_back(request_.csv);
    return outcome;
  }

  const CheckedTable& checked_;
  const CurvatureRequest& request_;
  const Caller& caller_;
  const LandscapeInputs& inputs_;
  const Engine engine_;
  Observer& observer_;
  const std::vector<std::size_t> places_;
  std::vector<FileIdentity> identities_;  // [row]
  std::vector<json> metadata_;            // [row]
  SharpnessTable table_;
  const LossProducts* products_ = nullptr;
  std::string_view stage_;
  std::size_t batches_ = 0, together_ = 1, made_ = 0;  // of this process
  double seconds_before_ = 0;
  Stopwatch watch_;
  std::mutex mutex_;  // of the table and the observer
};

Outcome run(CheckedTable checked, const Caller& caller, Observer& observer) {
  for (const std::string& note : checked.notes) observer.on_note("note: " + note);
  LandscapeRequest& landscape = checked.request.landscape;
  const auto device = open_device(landscape.device);
  const LandscapeInputs inputs = read_inputs(landscape, checked.landscape, checked.files.front(), device, observer);
  if (leads(caller.ranks)) {
    check_writable(landscape.out);
    if (!checked.request.csv.empty()) check_writable(checked.request.csv);
  }
  for (const std::string& note : notes_of(inputs)) observer.on_note("note: " + note);
  const std::int64_t batch = differentiated_batch(landscape.batch_size, inputs);
  LandscapeRequest forward = landscape;
  if (landscape.batch_size == 0 && inputs.file) forward.batch_size = inputs.file->batch_size();
  const Engine engine = make_engine(forward, checked.landscape, inputs, device);
  landscape.batch_size = batch;
  const NetworkState point = derivative_point(inputs, device);
  note_coupling(inputs, batch, observer);
  note_smoothness(look_at_smoothness(inputs, point, batch), observer);
  if (!leads(caller.ranks)) {
    TableRun(checked, caller, inputs, engine, observer).help(*caller.ranks);
    return {};
  }
  try {
    const FileLock lock(lock_of(landscape.out));
    return TableRun(checked, caller, inputs, engine, observer).run();
  } catch (const HeldError& held) {
    throw Error("{}", busy_text(landscape.out, held.holder()));
  }
}

}  // namespace

Job prepare_sharpness(CurvatureRequest request, LandscapeOptions options, Caller caller) {
  CheckedTable checked = check(std::move(request), options);
  const LandscapeRequest& landscape = checked.request.landscape;
  if (leads(caller.ranks)) {
    check_files(landscape, {}, checked.files, {{"`csv`", checked.request.csv}});
    if (!checked.request.csv.empty()) {
      check_output("`csv`", checked.request.csv, landscape.force || landscape.resume);
    }
  }
  return [checked = std::move(checked), caller = std::move(caller)](Observer& observer) {
    return run(checked, caller, observer);
  };
}

}  // namespace lossatlas
