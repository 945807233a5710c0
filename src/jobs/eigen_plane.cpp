#include "jobs/eigen_plane.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "base/json.h"
#include "base/stopwatch.h"
#include "curvature/curvature_progress.h"
#include "curvature/lanczos.h"
#include "curvature/trace.h"
#include "evaluation/loss_products.h"
#include "evaluation/smoothness.h"
#include "jobs/curvature_run.h"
#include "jobs/rank_run.h"
#include "jobs/second_derivatives.h"
#include "jobs/shared_products.h"
#include "landscape/parameter_choice.h"
#include "surface/resume.h"
#include "surface/settings.h"

namespace lossatlas {
namespace {

using nlohmann::json;

constexpr double kTolerance = 1e-3;  // of residuals: directions are right to about that, where eigenvalues are apart
constexpr std::size_t kProbesTogether = 4;  // probes in one pass over the samples
constexpr std::size_t kDeflated = 5;        // largest eigenvectors that are taken out of the trace's probes
constexpr std::int64_t kUsual = 1000;       // samples, as of `lossatlas curvature`

struct Found {
  std::vector<double> values, residuals;  // of the chosen eigenvectors
  std::vector<Vector> vectors;
  std::optional<Estimate> trace;
};

/// As much of the inputs' samples as curvature takes.
std::shared_ptr<const SampleSource> samples_of(std::int64_t asked, const LandscapeRequest& request,
                                               const LandscapeInputs& inputs) {
  const std::int64_t all = inputs.images.source->size();
  std::int64_t count = asked > 0 ? asked : asked < 0 ? all : std::min(kUsual, all);
  if (count > all) {
    throw UsageError("`eigen_samples` {}: the surface takes {} {}", count, all, samples_word(inputs));
  }
  if (inputs.file && (inputs.file->is_fixed_batch() || inputs.file->is_coupled())) {
    const std::int64_t batch = inputs.file->batch_size();
    count = std::min(all, std::max(std::int64_t{1}, count / batch) * batch);
  }
  return choose(inputs.images.source, count == all ? 0 : count, request.sample_seed, false).source;
}

/// Of two vectors that differ in sign one is taken, whatever the processor.
void settle_sign(Vector& vector) {
  const auto largest =
      std::max_element(vector.begin(), vector.end(), [](float a, float b) { return std::abs(a) < std::abs(b); });
  if (*largest < 0) scale(vector, -1);
}

class EigenSearch {
 public:
  EigenSearch(const PlaneOptions& options, LanczosOptions lanczos, LossProducts& products, Observer& observer)
      : options_(options), lanczos_(lanczos), products_(products), observer_(observer) {}

  /// From then on batches are reported.
  void on_batch() {
    ++batches_;
    const double share = static_cast<double>(batches_) / static_cast<double>(products_.own_batches());
    observer_.on_progress(CurvatureProgress{
        .stage = is_trace_ ? "trace" : "eigenvalues",
        .done = static_cast<double>(done_) + share * static_cast<double>(together_),
        .planned = is_trace_ ? options_.eigen_trace : 0,
        .converged = now_.converged,
        .wanted = lanczos_.largest + lanczos_.smallest,
        .largest = now_.products > 0 ? now_.largest : std::numeric_limits<double>::quiet_NaN(),
        .images_per_second = static_cast<double>(made_ + together_) * share *
                             static_cast<double>(products_.samples().size()) / std::max(watch_.seconds(), 1e-3),
        .sample = "sample"});
  }

  Found run() {
    const SymmetricOperator matrix{products_.size(), [this](auto in, auto out) { multiply(in, out); }};
    LanczosResult result = lanczos(matrix, lanczos_, [this](const LanczosProgress& now) { now_ = now; });
    if (!result.has_converged) {
      observer_.on_note(
          fmt::format("warning: the eigenvectors have not converged in {} products; their residuals say by how much",
                      lanczos_.most_products));
    }
    Eigenpairs& pairs = result.pairs;
    const std::vector<Vector> images = measure(matrix, pairs);
    Found found;
    if (options_.eigen_trace > 0) found.trace = trace(matrix, pairs, images);
    const std::size_t largest = std::min(lanczos_.largest, pairs.size());
    for (const int place : options_.eigen) {
      const std::size_t k =
          place > 0 ? static_cast<std::size_t>(place) - 1 : pairs.size() - static_cast<std::size_t>(-place);
      if (place > 0 ? k >= largest : k >= pairs.size()) {
        throw UsageError("`plane` eigen: {} parameters do not have so many eigenvectors", products_.size());
      }
      found.values.push_back(pairs.values[k]);
      found.residuals.push_back(pairs.residuals[k]);
      found.vectors.push_back(pairs.vectors[k]);
      settle_sign(found.vectors.back());
    }
    return found;
  }

 private:
  Estimate trace(const SymmetricOperator& matrix, const Eigenpairs& pairs, const std::vector<Vector>& images) {
    is_trace_ = true;
    done_ = 0;
    Trace trace = begin_trace(pairs.vectors, images, {}, false);
    while (trace.probes.size() < options_.eigen_trace) {
      const std::size_t count = std::min(kProbesTogether, options_.eigen_trace - trace.probes.size());
      add_probes(matrix, pairs.vectors, count, options_.eigen_trace, 0, trace);
    }
    return trace.value();
  }

  void multiply(std::span<const Vector> in, std::span<Vector> out) {
    batches_ = 0;
    together_ = in.size();
    lossatlas::multiply(products_, in, out);
    done_ += in.size();
    made_ += in.size();
  }

  const PlaneOptions& options_;
  const LanczosOptions lanczos_;
  LossProducts& products_;
  Observer& observer_;
  LanczosProgress now_;
  bool is_trace_ = false;
  std::size_t done_ = 0, made_ = 0, together_ = 1, batches_ = 0;
  Stopwatch watch_;
};

LanczosOptions lanczos_of(const PlaneOptions& options) {
  LanczosOptions lanczos{.largest = 0, .smallest = 0, .tolerance = kTolerance};
  for (const int place : options.eigen) {
    std::size_t& count = place > 0 ? lanczos.largest : lanczos.smallest;
    count = std::max(count, static_cast<std::size_t>(std::abs(place)));
  }
  if (options.eigen_trace > 0) lanczos.largest = std::max(lanczos.largest, kDeflated);
  return lanczos;
}

/// What rank 0, or a process alone, finds. Others help, and find nothing.
Found find(const PlaneOptions& options, const LandscapeRequest& request, const LandscapeInputs& inputs,
           const std::vector<std::size_t>& places, const std::shared_ptr<const SampleSource>& samples,
           at::Device device, Ranks* ranks, Observer& observer) {
  const LanczosOptions lanczos = lanczos_of(options);
  const std::int64_t batch = differentiated_batch(0, inputs);
  const SweepHooks hooks = hooks_of(observer);
  const int operator_threads = at::get_num_threads();
  at::set_num_threads(request.threads);
  const NetworkState point = derivative_point(inputs, device);
  note_coupling(inputs, batch, observer);
  note_smoothness(look_at_smoothness(inputs, point, batch), observer);
  EigenSearch* search = nullptr;
  LossProducts products(
      *inputs.problem, samples, point,
      {.batch_size = batch,
       .parameters = places,
       .threads = request.threads,
       .stop = hooks.stop,
       .others = ranks && ranks->is_first() ? std::make_shared<SharedProducts>(*ranks, hooks) : nullptr,
       .on_batch = [&] {
         if (search) search->on_batch();
       }});
  observer.on_note(fmt::format("eigenvectors of the Hessian by {} parameters, over {} {}, for the {}", products.size(),
                               samples->size(), samples_word(inputs),
                               options.eigen.size() == 1   ? "line"
                               : options.eigen.size() == 2 ? "plane"
                                                           : "space"));
  check_memory_of_vectors(products.size(), lanczos, 0, "`plane` eigen");
  if (!leads(ranks)) {
    serve_products(products, *ranks, *hooks.stop);
    at::set_num_threads(operator_threads);
    return {};
  }
  EigenSearch made(options, lanczos, products, observer);
  search = &made;
  Found found = made.run();
  if (ranks) end_products(*ranks);
  observer.on_progress_end();
  at::set_num_threads(operator_threads);
  return found;
}

/// As one text: what is known in JSON, a newline, and the vectors' bytes.
std::string packed(const Found& found) {
  json head{{"values", found.values}, {"residuals", found.residuals}};
  if (found.trace) head["trace"] = {found.trace->value, found.trace->standard_error};
  std::string text = json_text(head) + "\n";
  for (const Vector& vector : found.vectors) {
    text.append(reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float));
  }
  return text;
}

Found unpacked(const std::string& text, std::size_t size) {
  const std::size_t end = text.find('\n');
  const json head = json::parse(text.substr(0, end));
  const auto number = [](const json& value) { return value.is_number() ? value.get<double>() : std::nan(""); };
  Found found{.values = head.at("values"), .residuals = head.at("residuals"), .vectors = {}, .trace = {}};
  if (head.contains("trace")) found.trace = Estimate{number(head["trace"][0]), number(head["trace"][1])};
  const char* from = text.data() + end + 1;
  for (std::size_t k = 0; k < found.values.size(); ++k) {
    found.vectors.emplace_back(size);
    std::memcpy(found.vectors.back().data(), from, size * sizeof(float));
    from += size * sizeof(float);
  }
  return found;
}

/// A surface that is to go on along other directions is refused before these are computed.
void check_before(const LandscapeRequest& request) {
  const auto remains = request.resume ? read_remains(request.out) : std::nullopt;
  if (!remains) return;
  const auto plane = settings_from(remains->surface.settings).plane.value_or("random");
  if (plane == "eigen") return;
  throw Error(
      "{}: this surface has other settings: plane was {}, now eigen; resume it with its own, or choose another "
      "`out`",
      request.out.string(), plane);
}

/// How far an axis goes to either side: where λ x² / 2 is 1, and the parameters' own length at most; in two digits.
double reach_of(double eigenvalue, double length) {
  const double reach = std::min(std::sqrt(2 / std::max(std::abs(eigenvalue), 1e-12)), length);
  return std::stod(fmt::format("{:.2g}", reach));
}

}  // namespace

std::optional<ChosenPlane> eigen_plane(const PlaneOptions& options, const LandscapeRequest& request,
                                       const LandscapeInputs& inputs, at::Device device, Ranks* ranks,
                                       Observer& observer) {
  const auto places = parameters_of(options.direction.parameters, inputs.origin);
  const auto samples = samples_of(options.eigen_samples, request, inputs);
  std::size_t size = 0;
  for (const std::size_t place : places)
    size += static_cast<std::size_t>(inputs.origin.parameters[place].tensor.numel());
  for (const int place : options.eigen) {
    if (static_cast<std::size_t>(std::abs(place)) <= size) continue;
    throw UsageError("`plane` eigen: {} parameters do not have so many eigenvectors", size);
  }
  if (leads(ranks)) check_before(request);
  use_differentiable_attention();  // on all ranks: the sweep is to have the same bits everywhere
  Found found;
  try {
    found = find(options, request, inputs, places, samples, device, ranks, observer);
  } catch (const ProductsStopped&) {
    observer.on_progress_end();
    return std::nullopt;
  }
  if (ranks) found = unpacked(ranks->broadcast(ranks->is_first() ? packed(found) : ""), size);
  ChosenPlane plane;
  plane.settings.plane = "eigen";
  plane.settings.dir_type = name_of(DirectionType::weights);
  plane.settings.eigen.emplace(options.eigen.begin(), options.eigen.end());
  plane.settings.eigen_samples = samples->size();
  plane.settings.eigenvalues = found.values;
  plane.settings.eigenvalue_residuals = found.residuals;
  if (found.trace) plane.settings.trace = found.trace->value;
  if (found.trace) plane.settings.trace_se = found.trace->standard_error;
  if (!options.direction.parameters.empty()) plane.settings.parameters = options.direction.parameters;
  std::vector<Direction> directions;
  const double length = norm(inputs.origin);
  for (std::size_t k = 0; k < found.vectors.size(); ++k) {
    directions.push_back(direction_of(found.vectors[k], places, inputs.origin));
    plane.reach.push_back(reach_of(found.values[k], length));
  }
  plane.directions = [directions](std::size_t) { return directions; };
  return plane;
}

Outcome interrupted_before(const Caller& caller, Observer& observer) {
  observer.on_note(
      fmt::format("interrupted before the first point; nothing was kept; begin again with: {}", caller.again));
  return {.finished = false};
}

}  // namespace lossatlas
