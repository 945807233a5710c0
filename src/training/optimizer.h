#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "models/state.h"
#include "optimizers/options.h"

namespace lossatlas {

/// What a minibatch is of its epoch: gd adds the gradients up, and steps once an epoch.
struct MinibatchShare {
  double images = 1;    // its part of the epoch's images
  bool is_last = true;  // the epoch ends with it
};

/// One of the rules of optimizers/rule.h over all parameters.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  /// Applies one step to the parameters from their .grad(). gd does so with the last minibatch of an epoch alone, by
  /// the mean gradient of all of them.
  virtual void step(double learning_rate, const MinibatchShare& share = {}) = 0;

  /// What a resumed run must have: the rule's memory, first for all parameters under their names, then (adam, adamw)
  /// again under "NAME/2"; of gd the gradient so far.
  const std::vector<NamedTensor>& memory() const { return memory_; }
  /// `steps`: how many were taken. Throws Error if names or shapes differ from the parameters'.
  void restore(const std::vector<NamedTensor>& memory, std::int64_t steps);

 protected:
  Optimizer(std::vector<NamedTensor> parameters, std::size_t memories);

  std::vector<NamedTensor> parameters_;
  std::vector<NamedTensor> memory_;  // [memories][parameters]
  std::int64_t steps_ = 0;
};

/// Throws UsageError for an unknown name or numbers out of range.
std::unique_ptr<Optimizer> make_optimizer(const OptimizerOptions& options, std::vector<NamedTensor> parameters);

}  // namespace lossatlas
