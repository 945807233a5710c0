#include "evaluation/evaluator.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "base/names.h"
#include "evaluation/device.h"
#include "evaluation/engines/eager.h"
#include "evaluation/engines/fused.h"
#include "evaluation/engines/tensor.h"
#include "evaluation/program.h"
#include "evaluation/recalibration.h"
#include "fused/lowering.h"
#include "models/script_graph.h"
#include "models/script_network.h"

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

void append(const SampleValues& values, ImageResults& each) {
  each.losses.insert(each.losses.end(), values[0].begin(), values[0].end());
  each.is_correct.insert(each.is_correct.end(), values[1].begin(), values[1].end());
}

}  // namespace

std::string_view name_of(EngineChoice choice) { return kEngineNames.name_of(choice); }

EngineChoice engine_of(const std::string& name) { return kEngineNames.parse("`engine`", name); }

Evaluator::Evaluator(const EngineOptions& options, ImageSets images, std::unique_ptr<Objective> objective,
                     std::unique_ptr<Recalibration> recalibration)
    : options_(options),
      images_(std::move(images)),
      objective_(std::move(objective)),
      recalibration_(std::move(recalibration)) {}

Evaluator::~Evaluator() = default;

Evaluation Evaluator::evaluate(const NetworkTensors& state) {
  return evaluate(state, std::array{images_.first->size()}).front();
}

std::vector<Evaluation> Evaluator::evaluate(const NetworkTensors& state, std::span<const std::int64_t> sizes,
                                            ImageResults* each) {
  const at::NoGradGuard no_gradients;
  objective_->load(recalibration_ ? recalibration_->apply(state) : state);
  const Extras& extras = options_.extras;
  const std::int64_t population = options_.population > 0 ? options_.population : images_.first->size();
  const Criterion& criterion = objective_->criterion();
  Measurement sum(criterion.measures().size());
  SampleValues values = values_for(criterion);
  std::vector<Evaluation> results;
  std::int64_t first = 0;
  for (const std::int64_t size : sizes) {
    objective_->add(*images_.first, {first, size}, sum, {.each = each ? &values : nullptr});
    first = size;
    results.push_back(evaluation_of(sum, extras, population));
  }
  if (each) append(values, *each);
  if (images_.second) add_second(results);
  if (extras.weight_decay > 0) {
    const double term = l2_term(state.parameters, extras.weight_decay);
    for (Evaluation& result : results) result.more["l2"] = term;
  }
  return results;
}

void Evaluator::add_second(std::vector<Evaluation>& results) {
  const std::int64_t size = images_.second->size();
  Measurement sum(objective_->criterion().measures().size());
  objective_->add(*images_.second, {0, size}, sum);
  const std::int64_t population = options_.second_population > 0 ? options_.second_population : size;
  const Evaluation second = evaluation_of(sum, options_.extras, population);
  for (Evaluation& result : results) result.second = {second};
}

Engine::Engine(EngineOptions options, std::shared_ptr<const DataSet> data, at::Device device)
    : options_(std::move(options)), device_(device) {
  check_fit(*data);
  if (options_.second) check_fit(*options_.second);
  if (options_.recalibration) check_recalibration(options_.network);
  check_mode();
  images_.first = std::make_shared<Images>(std::move(data), device);
  if (options_.second) images_.second = std::make_shared<Images>(options_.second, device);
  if (options_.engine != EngineChoice::eager) {
    compile();
  } else if (options_.precision != Precision::fp32) {
    throw UsageError("only the fused engine computes in {}", name_of(options_.precision));
  }
}

void Engine::check_fit(const DataSet& data) const {
  const NetworkSpec& network = options_.network;
  if (data.shape != network.input) {
    throw Error("the images are {} in shape, the network takes {}", fmt::join(data.shape, "x"),
                fmt::join(network.input, "x"));
  }
  if (data.classes > network.classes) {
    throw Error("{} has {} classes, the network tells {} apart", data.name, data.classes, network.classes);
  }
}

/// A network of ours is in evaluation mode; a TorchScript file may have been traced in training mode.
void Engine::check_mode() {
  const auto& file = options_.network.script;
  if (file.empty()) return;
  const TrainingMode mode = training_mode_of(ScriptNetwork(*options_.network.script_bytes));
  if (!mode.random.empty()) {
    throw Error(
        "{}: the network draws random numbers ({}), so its loss differs from run to run; call model.eval() before "
        "torch.jit.trace",
        file.string(), mode.random);
  }
  uses_batch_statistics_ = mode.uses_batch_statistics;
}

void Engine::compile() {
  const bool must = options_.engine == EngineChoice::fused || options_.precision != Precision::fp32;
  try {
    graph_ = make_fused_graph(options_.network);
    if (device_.is_cuda()) allow_tf32(options_.precision == Precision::tf32);
  } catch (const CannotLower& reason) {
    if (must) throw Error("the fused engine cannot run {}: it has {}", options_.network.architecture, reason.what());
    why_not_fused_ = reason.what();
  }
  if (!is_fused() || !options_.recalibration || !device_.is_cpu()) return;
  try {
    recalibration_graph_ = make_recalibration_graph(options_.network);
  } catch (const CannotLower&) {  // LibTorch recalibrates
  }
}

Engine Engine::plain() const {
  Engine engine = *this;
  engine.options_.extras = {};
  engine.options_.recalibration = nullptr;
  return engine;
}

Engine Engine::with_images(std::shared_ptr<const DataSet> data) const {
  check_fit(*data);
  Engine engine = *this;
  engine.images_.first = std::make_shared<Images>(std::move(data), device_);
  return engine;
}

std::unique_ptr<Evaluator> Engine::make_evaluator() const {
  return std::make_unique<Evaluator>(options_, images_, make_objective(), make_recalibration());
}

std::unique_ptr<Objective> Engine::make_objective() const {
  const auto criterion = make_class_criterion(options_.loss, options_.extras, options_.network.classes);
  if (!is_fused()) {
    return make_eager_objective(make_program(options_.network), criterion, images_.first, options_.batch_size);
  }
  const std::int64_t largest = std::max(images(), images_per_point() - images());
  const FusedOptions fused{options_.instruction_set, options_.precision, std::min(options_.batch_size, largest)};
  return device_.is_cuda() ? make_tensor_objective(graph_, fused, device_, criterion, images_.first)
                           : make_fused_objective(graph_, fused, criterion, images_.first);
}

std::unique_ptr<Recalibration> Engine::make_recalibration() const {
  if (!options_.recalibration) return nullptr;
  if (!recalibration_graph_) return make_eager_recalibration(options_.network, options_.recalibration, device_);
  return make_fused_recalibration(recalibration_graph_, options_.recalibration, options_.instruction_set);
}

std::string Engine::instruction_set() const {
  return is_fused() && device_.is_cpu() ? std::string(name_of(options_.instruction_set))
                                        : lossatlas::instruction_set(device_);
}

Capabilities Engine::capabilities() const {
  return {.gradient = !is_fused(), .per_sample = !uses_batch_statistics_, .why_not_fused = why_not_fused_};
}

std::string why_not_fused(const NetworkSpec& network) {
  try {
    make_fused_graph(network);
    return "";
  } catch (const CannotLower& reason) {
    return reason.what();
  }
}

bool gives_probabilities(const NetworkSpec& spec, std::shared_ptr<const DataSet> data) {
  if (spec.script.empty()) return false;
  const at::NoGradGuard no_gradients;
  constexpr std::int64_t kFew = 8;
  const Images images(std::move(data), at::kCPU);
  const at::Tensor rows = make_program(spec)->run(images.batch(0, std::min(kFew, images.size())));
  return rows.min().item<double>() >= 0 && rows.sum(1).sub(1).abs().max().item<double>() < 1e-3;
}

}  // namespace lossatlas
