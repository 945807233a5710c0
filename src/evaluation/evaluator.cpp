#include "evaluation/evaluator.h"

#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "base/names.h"
#include "evaluation/device.h"
#include "evaluation/engines/eager.h"
#include "evaluation/engines/fused.h"
#include "evaluation/engines/tensor.h"
#include "evaluation/probed_point.h"
#include "evaluation/recalibration.h"
#include "fused/lowering.h"

namespace lossatlas {
namespace {

constexpr NameTable<EngineChoice, 3> kEngineNames{
    {{EngineChoice::automatic, "auto"}, {EngineChoice::eager, "eager"}, {EngineChoice::fused, "fused"}}};

/// λ/2 ‖θ‖².
double l2_term(const std::vector<NamedTensor>& parameters, double weight_decay) {
  double sum = 0;
  for (const auto& [name, tensor] : parameters) sum += tensor.to(at::kDouble).square().sum().item<double>();
  return weight_decay / 2 * sum;
}

/// Losses whose plain mean is the weighted mean R, and whose spread is its error: R + w (x - R) / mean(w), by
/// linearization of the ratio (Cochran 1977, "Sampling Techniques", section 6.3).
std::vector<double> linearized(const std::vector<double>& losses, const std::vector<double>& weights) {
  if (std::all_of(weights.begin(), weights.end(), [](double weight) { return weight == 1; })) return losses;
  Sum sum;
  for (std::size_t i = 0; i < losses.size(); ++i) sum.add(losses[i], weights[i]);
  const double mean = sum.mean(), weight = sum.weights / sum.count;
  std::vector<double> all;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    all.push_back(weights[i] == 0 ? mean : mean + weights[i] * (losses[i] - mean) / weight);
  }
  return all;
}

void append(const SampleValues& values, const std::vector<Criterion::Measure>& measures, ImageResults& each) {
  const auto losses = linearized(values.front(), values.back());
  each.losses.insert(each.losses.end(), losses.begin(), losses.end());
  if (measures.size() < 2 || measures[1].name != "accuracy") return;
  each.is_correct.insert(each.is_correct.end(), values[1].begin(), values[1].end());
}

}  // namespace

std::string_view name_of(EngineChoice choice) { return kEngineNames.name_of(choice); }

EngineChoice engine_of(const std::string& name) { return kEngineNames.parse("`engine`", name); }

Evaluator::Evaluator(const EngineOptions& options, EngineSamples samples, std::unique_ptr<Objective> objective,
                     std::unique_ptr<Recalibration> recalibration, std::shared_ptr<std::atomic<std::int64_t>> most)
    : options_(options),
      samples_(std::move(samples)),
      objective_(std::move(objective)),
      recalibration_(std::move(recalibration)),
      most_(std::move(most)) {}

Evaluator::~Evaluator() = default;

Evaluation Evaluator::evaluate(const NetworkTensors& state) {
  return evaluate(state, std::array{samples_.first->size()}).front();
}

std::vector<Evaluation> Evaluator::evaluate(const NetworkTensors& state, std::span<const std::int64_t> sizes,
                                            ImageResults* each) {
  while (true) {
    if (most_) objective_->set_batch_size(std::min(objective_->batch_size(), most_->load()));
    try {
      return evaluate_once(state, sizes, each);
    } catch (const c10::OutOfMemoryError&) {
      if (!most_ || objective_->batch_size() == 1) throw;
      halve_batches();
    }
  }
}

/// For all evaluators of the engine. One that failed at a size that another has halved since does not halve it again.
void Evaluator::halve_batches() {
  const std::int64_t failed = objective_->batch_size();
  std::int64_t known = most_->load();
  while (known >= failed && !most_->compare_exchange_weak(known, failed / 2)) {
  }
}

std::vector<Evaluation> Evaluator::evaluate_once(const NetworkTensors& state, std::span<const std::int64_t> sizes,
                                                 ImageResults* each) {
  const at::NoGradGuard no_gradients;
  const NetworkTensors& point = recalibration_ ? recalibration_->apply(state) : state;
  objective_->load(point);
  const std::int64_t population = samples_.population > 0 ? samples_.population : samples_.first->size();
  const Criterion& criterion = objective_->criterion();
  Measurement sum(criterion.measures().size());
  SampleValues values = values_for(criterion);
  std::vector<Evaluation> results;
  std::int64_t first = 0;
  for (const std::int64_t size : sizes) {
    objective_->add(*samples_.first, {first, size}, sum, {.each = each ? &values : nullptr});
    first = size;
    results.push_back(evaluation_of(sum, criterion.measures(), population));
  }
  if (each) append(values, criterion.measures(), *each);
  if (samples_.second) add_second(results);
  if (options_.weight_decay > 0) {
    const double term = l2_term(state.parameters, options_.weight_decay);
    for (Evaluation& result : results) result.more["l2"] = term;
  }
  if (options_.scale_trace.count > 0 && sizes.back() == samples_.first->size()) {
    results.back().more[std::string(kScaleTrace)] = scale_trace(point, results.back().loss);
  }
  return results;
}

/// At a state whose loss is known. Batch-norm statistics stay those of the state.
double Evaluator::scale_trace(const NetworkTensors& state, double loss) {
  ProbedPoint probed(state);
  const at::Device device = state.parameters.front().tensor.device();
  const auto& [count, step] = options_.scale_trace;
  const auto loss_at = [&](std::size_t probe, double c) {
    const NetworkState there = state_on(probed.at(0, probe, c), device);
    objective_->load(there);
    Measurement sum(objective_->criterion().measures().size());
    objective_->add(*samples_.first, {0, samples_.first->size()}, sum);
    return sum[0].mean();
  };
  double total = 0;
  for (std::size_t k = 0; k < count; ++k) {
    total += (loss_at(k, step) - 2 * loss + loss_at(k, -step)) / (step * step);
  }
  return total / static_cast<double>(count);
}

void Evaluator::add_second(std::vector<Evaluation>& results) {
  const std::int64_t size = samples_.second->size();
  const auto& measures = objective_->criterion().measures();
  Measurement sum(measures.size());
  objective_->add(*samples_.second, {0, size}, sum);
  const std::int64_t population = samples_.second_population > 0 ? samples_.second_population : size;
  const Evaluation second = evaluation_of(sum, measures, population);
  for (Evaluation& result : results) result.second = {second};
}

Engine::Engine(std::shared_ptr<const Problem> problem, EngineSamples samples, const EngineOptions& options,
               at::Device device)
    : problem_(std::move(problem)), samples_(std::move(samples)), options_(options), device_(device) {
  if (problem_->fixed_batch() > 0) {
    options_.batch_size = problem_->fixed_batch();
  } else {
    most_ = std::make_shared<std::atomic<std::int64_t>>(options_.batch_size);
  }
  for (const auto& some : {samples_.first, samples_.second, samples_.recalibration}) {
    if (some) problem_->check_fit(*some);
  }
  if (samples_.recalibration) problem_->check_recalibration();
  if (options_.engine != EngineChoice::eager) {
    compile();
  } else if (options_.precision != Precision::fp32) {
    throw UsageError("only the fused engine computes in {}", name_of(options_.precision));
  }
}

void Engine::compile() {
  const bool must = options_.engine == EngineChoice::fused || options_.precision != Precision::fp32;
  try {
    fused_ = problem_->lower();
    if (device_.is_cuda()) allow_tf32(options_.precision == Precision::tf32);
  } catch (const CannotLower& reason) {
    if (must) throw Error("the fused engine cannot run {}: it has {}", problem_->name(), reason.what());
    why_not_fused_ = reason.what();
  }
  if (!is_fused() || !samples_.recalibration || !device_.is_cpu()) return;
  try {
    recalibration_graph_ = problem_->lower_for_recalibration();
  } catch (const CannotLower&) {  // LibTorch recalibrates
  }
}

Engine Engine::plain() const {
  Engine engine = *this;
  engine.options_.weight_decay = 0;
  engine.options_.scale_trace = {};
  engine.samples_.recalibration = nullptr;
  return engine;
}

Engine Engine::for_differences() const {
  Engine engine = *this;
  engine.options_.weight_decay = 0;
  engine.options_.scale_trace = {};
  engine.options_.precision = Precision::fp32;
  engine.samples_.second = nullptr;
  if (device_.is_cuda()) allow_tf32(false);
  return engine;
}

Engine Engine::with_scale_trace(const ScaleTraceProbes& probes) const {
  Engine engine = *this;
  engine.options_.scale_trace = probes;
  return engine;
}

Engine Engine::with_samples(std::shared_ptr<const SampleSource> samples) const {
  problem_->check_fit(*samples);
  Engine engine = *this;
  engine.samples_.first = std::move(samples);
  return engine;
}

std::unique_ptr<Evaluator> Engine::make_evaluator() const {
  return std::make_unique<Evaluator>(options_, samples_, make_objective(), make_recalibration(), most_);
}

std::unique_ptr<Objective> Engine::make_objective() const {
  if (!is_fused()) {
    return make_eager_objective(problem_->make_program(device_), problem_->criterion(), samples_.first,
                                options_.batch_size);
  }
  const std::int64_t largest = std::max(images(), images_per_point() - images());
  const bool is_fixed = problem_->fixed_batch() > 0;  // then even one sample fills a batch
  const std::int64_t batch_size = is_fixed ? options_.batch_size : std::min(options_.batch_size, largest);
  const FusedOptions fused{options_.instruction_set, options_.precision, batch_size};
  return device_.is_cuda() ? make_tensor_objective(fused_, fused, device_, samples_.first)
                           : make_fused_objective(fused_, fused, samples_.first);
}

std::unique_ptr<Recalibration> Engine::make_recalibration() const {
  if (!samples_.recalibration) return nullptr;
  if (!recalibration_graph_) return problem_->make_recalibration(samples_.recalibration, device_);
  return make_fused_recalibration(recalibration_graph_, samples_.recalibration, options_.instruction_set);
}

std::string Engine::instruction_set() const {
  return is_fused() && device_.is_cpu() ? std::string(name_of(options_.instruction_set))
                                        : lossatlas::instruction_set(device_);
}

Capabilities Engine::capabilities() const {
  return {.gradient = !is_fused(),
          .hessian_vector = !is_fused(),
          .per_sample = problem_->coupling().empty(),
          .why_not_fused = why_not_fused_};
}

}  // namespace lossatlas
