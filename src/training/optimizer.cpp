#include "training/optimizer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/zeros_like.h>

#include <utility>

#include "base/error.h"
#include "optimizers/rule.h"

namespace lossatlas {
namespace {

/// The gradient with weight decay added; a new tensor only if there is some.
at::Tensor gradient_of(const at::Tensor& parameter, double weight_decay) {
  return weight_decay == 0 ? parameter.grad() : parameter.grad().add(parameter, weight_decay);
}

class RuleOptimizer : public Optimizer {
 public:
  RuleOptimizer(const OptimizerOptions& options, std::vector<NamedTensor> parameters)
      : Optimizer(std::move(parameters), memory_of(options)), options_(options) {}

  void step(double learning_rate, const MinibatchShare&) override {
    const at::NoGradGuard no_gradients;
    const double added_decay = options_.name == "adamw" ? 0 : options_.weight_decay;
    ++steps_;
    for (std::size_t p = 0; p < parameters_.size(); ++p) {
      auto& theta = parameters_[p].tensor;
      std::vector<at::Tensor> memory;  // the same storage: a rule changes it in place
      for (std::size_t m = p; m < memory_.size(); m += parameters_.size()) memory.push_back(memory_[m].tensor);
      const auto move = move_of<at::Tensor>(options_, steps_, gradient_of(theta, added_decay), memory);
      if (move.decay != 0) theta.mul_(1 - learning_rate * move.decay);
      if (move.divisor) {
        theta.addcdiv_(move.direction, *move.divisor, -learning_rate);
      } else {
        theta.add_(move.direction, -learning_rate);
      }
    }
  }

 private:
  OptimizerOptions options_;
};

/// gd: the gradient over all images, added up minibatch by minibatch.
class FullBatch : public Optimizer {
 public:
  FullBatch(const OptimizerOptions& options, std::vector<NamedTensor> parameters)
      : Optimizer(std::move(parameters), 1), weight_decay_(options.weight_decay) {}

  void step(double learning_rate, const MinibatchShare& share) override {
    const at::NoGradGuard no_gradients;
    for (std::size_t p = 0; p < parameters_.size(); ++p) {
      auto& theta = parameters_[p].tensor;
      auto& sum = memory_[p].tensor;
      sum.add_(gradient_of(theta, weight_decay_), share.images);
      if (!share.is_last) continue;
      theta.add_(sum, -learning_rate);
      sum.zero_();
    }
  }

 private:
  double weight_decay_;
};

}  // namespace

Optimizer::Optimizer(std::vector<NamedTensor> parameters, std::size_t memories) : parameters_(std::move(parameters)) {
  for (std::size_t m = 1; m <= memories; ++m) {
    for (const auto& [name, tensor] : parameters_) {
      memory_.push_back({m == 1 ? name : fmt::format("{}/{}", name, m), at::zeros_like(tensor.detach())});
    }
  }
}

void Optimizer::restore(const std::vector<NamedTensor>& memory, std::int64_t steps) {
  const at::NoGradGuard no_gradients;
  if (memory.size() != memory_.size()) throw Error("the optimizer's memory belongs to another optimizer or network");
  for (std::size_t p = 0; p < memory.size(); ++p) {
    if (memory[p].name != memory_[p].name || memory[p].tensor.sizes() != memory_[p].tensor.sizes()) {
      throw Error("the optimizer's memory of {} does not fit {}", memory[p].name, memory_[p].name);
    }
    memory_[p].tensor.copy_(memory[p].tensor);
  }
  steps_ = steps;
}

std::unique_ptr<Optimizer> make_optimizer(const OptimizerOptions& options, std::vector<NamedTensor> parameters) {
  check(options);
  if (options.name == "gd") return std::make_unique<FullBatch>(options, std::move(parameters));
  return std::make_unique<RuleOptimizer>(options, std::move(parameters));
}

}  // namespace lossatlas
