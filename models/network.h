#pragma once

#include <torch/nn/module.h>

#include "models/state.h"

namespace lossatlas {

/// A network that classifies images.
class Network : public torch::nn::Module {
 public:
  /// images [N, C, H, W] float, normalized; returns logits [N, classes], softmax not applied.
  virtual torch::Tensor forward(torch::Tensor images) = 0;
  /// Further names of the parameters and buffers.
  virtual std::vector<Alias> aliases() const { return {}; }
};

}  // namespace lossatlas
