#pragma once

#include <torch/types.h>

#include <memory>
#include <string>
#include <vector>

#include "models/network.h"

namespace lossatlas {

struct OptimizerOptions {
  std::string name = "sgd";  // "sgd" or "adagrad"
  double momentum = 0;       // sgd, μ in [0, 1)
  bool nesterov = false;     // sgd, wants momentum > 0
  double weight_decay = 0;   // λ: g ← g + λ θ, before anything else
  double delta = 1e-7;       // adagrad, δ > 0
};

/// One rule for θ ← θ + step, over all parameters; ε is the learning rate of the step.
///   sgd      v ← μ v + g;  step −ε v, with nesterov −ε (g + μ v). As PyTorch's, with dampening 0.
///   adagrad  r ← r + g²;   step −ε / (δ + √r) · g, elementwise. Goodfellow, Bengio, Courville, "Deep Learning" (2016),
///            algorithm 8.4. LibTorch's own takes δ = 1e-10 and can start r above 0 and decay ε; with those three
///            equal it makes the same steps.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  /// Applies one step to the parameters from their .grad().
  virtual void step(double learning_rate) = 0;

  /// Its memory (v or r), one tensor a parameter, under the parameters' names: what a resumed run must have.
  const std::vector<NamedTensor>& memory() const { return memory_; }
  /// Throws Error where names or shapes differ from the parameters'.
  void restore(const std::vector<NamedTensor>& memory);

 protected:
  Optimizer(std::vector<NamedTensor> parameters, bool has_memory);

  std::vector<NamedTensor> parameters_;
  std::vector<NamedTensor> memory_;
};

/// Throws UsageError for an unknown name or numbers out of range.
std::unique_ptr<Optimizer> make_optimizer(const OptimizerOptions& options, std::vector<NamedTensor> parameters);

}  // namespace lossatlas
