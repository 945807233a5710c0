#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "evaluation/samples.h"
#include "models/spec.h"
#include "models/state.h"

namespace lossatlas {

/// What computes outputs from parameters, buffers and a batch: a network of ours, or of a file. One a thread.
class Program {
 public:
  virtual ~Program() = default;

  /// Computes with the memory of these tensors from now on: nothing is copied. Names, order and shapes of its own.
  virtual void load(const NetworkTensors& state) = 0;
  /// What autograd knows the loaded parameters by, in their order. The tensors stay the same from load to load.
  virtual const std::vector<at::Tensor>& parameters() const = 0;
  /// The outputs, whose first axis is the sample. Differentiable if LibTorch's grad mode is on.
  virtual at::Tensor run(const Batch& batch) = 0;
};

/// The network in evaluation mode; its outputs are logits [N, classes]. Throws as make_network does.
std::unique_ptr<Program> make_program(const NetworkSpec& network);

}  // namespace lossatlas
