#include "training/optimizer.h"

#include <torch/utils.h>

#include <cmath>
#include <utility>

#include "base/error.h"

namespace lossatlas {
namespace {

/// The gradient with weight decay added; a new tensor only where there is some.
torch::Tensor gradient_of(const torch::Tensor& parameter, double weight_decay) {
  return weight_decay == 0 ? parameter.grad() : parameter.grad().add(parameter, weight_decay);
}

class Sgd : public Optimizer {
 public:
  Sgd(const OptimizerOptions& options, std::vector<NamedTensor> parameters)
      : Optimizer(std::move(parameters), options.momentum > 0), options_(options) {}

  void step(double learning_rate) override {
    const torch::NoGradGuard no_gradients;
    for (std::size_t p = 0; p < parameters_.size(); ++p) {
      auto& theta = parameters_[p].tensor;
      auto direction = gradient_of(theta, options_.weight_decay);
      if (options_.momentum > 0) {
        auto& velocity = memory_[p].tensor;
        velocity.mul_(options_.momentum).add_(direction);
        direction = options_.nesterov ? direction.add(velocity, options_.momentum) : velocity;
      }
      theta.add_(direction, -learning_rate);
    }
  }

 private:
  OptimizerOptions options_;
};

class AdaGrad : public Optimizer {
 public:
  AdaGrad(const OptimizerOptions& options, std::vector<NamedTensor> parameters)
      : Optimizer(std::move(parameters), true), options_(options) {}

  void step(double learning_rate) override {
    const torch::NoGradGuard no_gradients;
    for (std::size_t p = 0; p < parameters_.size(); ++p) {
      auto& theta = parameters_[p].tensor;
      auto& squares = memory_[p].tensor;
      const auto gradient = gradient_of(theta, options_.weight_decay);
      squares.addcmul_(gradient, gradient);
      theta.addcdiv_(gradient, squares.sqrt().add_(options_.delta), -learning_rate);
    }
  }

 private:
  OptimizerOptions options_;
};

}  // namespace

Optimizer::Optimizer(std::vector<NamedTensor> parameters, bool has_memory) : parameters_(std::move(parameters)) {
  if (!has_memory) return;
  for (const auto& [name, tensor] : parameters_) memory_.push_back({name, torch::zeros_like(tensor.detach())});
}

void Optimizer::restore(const std::vector<NamedTensor>& memory) {
  const torch::NoGradGuard no_gradients;
  if (memory.size() != memory_.size()) throw Error("the optimizer's memory belongs to another optimizer or network");
  for (std::size_t p = 0; p < memory.size(); ++p) {
    if (memory[p].name != memory_[p].name || memory[p].tensor.sizes() != memory_[p].tensor.sizes()) {
      throw Error("the optimizer's memory of {} does not fit {}", memory[p].name, memory_[p].name);
    }
    memory_[p].tensor.copy_(memory[p].tensor);
  }
}

std::unique_ptr<Optimizer> make_optimizer(const OptimizerOptions& options, std::vector<NamedTensor> parameters) {
  if (!(options.weight_decay >= 0 && std::isfinite(options.weight_decay)))
    throw UsageError("--weight-decay {}: wants 0 or more", options.weight_decay);
  if (options.name == "sgd") {
    if (!(options.momentum >= 0 && options.momentum < 1)) {
      throw UsageError("--momentum {}: wants 0 or more, below 1", options.momentum);
    }
    if (options.nesterov && options.momentum == 0) throw UsageError("--nesterov wants --momentum above 0");
    return std::make_unique<Sgd>(options, std::move(parameters));
  }
  if (options.name == "adagrad") {
    if (!(options.delta > 0 && std::isfinite(options.delta)))
      throw UsageError("--delta {}: wants a number above 0", options.delta);
    return std::make_unique<AdaGrad>(options, std::move(parameters));
  }
  throw UsageError("--optimizer {}: wants sgd or adagrad", options.name);
}

}  // namespace lossatlas
