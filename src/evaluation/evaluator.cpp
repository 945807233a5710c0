#include "evaluation/evaluator.h"

#include <torch/utils.h>

#include <utility>

#include "base/error.h"
#include "evaluation/device.h"
#include "evaluation/eager_evaluator.h"
#include "evaluation/fused_evaluator.h"
#include "fused/lowering.h"

namespace lossatlas {
namespace {

std::vector<NamedTensor> copy_tensors(const std::vector<NamedTensor>& tensors, torch::Device device) {
  std::vector<NamedTensor> copies;
  copies.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) {
    const auto type = tensor.is_floating_point() ? torch::kFloat32 : tensor.scalar_type();
    const auto copy = torch::empty(tensor.sizes(), torch::TensorOptions().dtype(type).device(device));
    copies.push_back({name, copy.copy_(tensor.detach())});
  }
  return copies;
}

}  // namespace

std::string_view name_of(EngineChoice choice) {
  if (choice == EngineChoice::automatic) return "auto";
  return choice == EngineChoice::eager ? "eager" : "fused";
}

EngineChoice engine_of(const std::string& name) {
  for (const auto choice : {EngineChoice::automatic, EngineChoice::eager, EngineChoice::fused}) {
    if (name == name_of(choice)) return choice;
  }
  throw UsageError("--engine {}: wants auto, eager or fused", name);
}

Engine::Engine(EngineOptions options, std::shared_ptr<const DataSet> data, torch::Device device)
    : options_(std::move(options)), device_(device) {
  if (data->shape != options_.network.input) {
    throw Error("the images are {} in shape, the network takes {}", fmt::join(data->shape, "x"),
                fmt::join(options_.network.input, "x"));
  }
  if (data->classes > options_.network.classes) {
    throw Error("{} has {} classes, the network tells {} apart", data->name, data->classes, options_.network.classes);
  }
  batches_ = std::make_shared<Batches>(std::move(data), device);
  if (options_.engine != EngineChoice::eager) {
    compile();
  } else if (options_.precision != Precision::fp32) {
    throw UsageError("only the fused engine computes in {}", name_of(options_.precision));
  }
}

void Engine::compile() {
  const bool must = options_.engine == EngineChoice::fused || options_.precision != Precision::fp32;
  if (!device_.is_cpu()) {
    if (must) throw UsageError("the fused engine runs on the CPU, not on {}", device_.str());
    return;
  }
  try {
    graph_ = make_fused_graph(options_.network);
  } catch (const CannotLower& reason) {
    if (must) throw Error("the fused engine cannot run {}: it has {}", options_.network.architecture, reason.what());
    why_eager_ = reason.what();
  }
}

std::unique_ptr<Evaluator> Engine::make_evaluator() const {
  return is_fused() ? make_fused_evaluator(options_, graph_, batches_) : make_eager_evaluator(options_, batches_);
}

std::string Engine::instruction_set() const {
  return is_fused() ? std::string(name_of(options_.instruction_set)) : lossatlas::instruction_set(device_);
}

NetworkState copy_state(const NetworkState& state, torch::Device device) {
  return {copy_tensors(state.parameters, device), copy_tensors(state.buffers, device)};
}

}  // namespace lossatlas
