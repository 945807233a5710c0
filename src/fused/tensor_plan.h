#pragma once

#include <torch/types.h>

#include <memory>
#include <vector>

#include "fused/graph.h"

namespace lossatlas {

/// A fused graph run on tensors by LibTorch, batch norms folded into the convolutions once a point. On CUDA a convolution,
/// its bias, residual and ReLU are one call of cuDNN. Runs on the CPU too, for tests: Plan is faster there.
class TensorPlan {
 public:
  /// tf32 rounds factors where a CUDA device's matrix units do so (at::Context::allowTF32CuDNN, which is process-wide and
  /// the caller's to set); bf16 rounds parameters and activations.
  TensorPlan(std::shared_ptr<const Graph> graph, torch::Device device, Precision precision);

  /// Takes the parameters of a point: those of a NetworkState by TensorIndex, on the device.
  void load(const std::vector<torch::Tensor>& tensors);

  /// Images [N, C, H, W] to logits [N, classes], float32, on the device. Where no gradients are recorded.
  torch::Tensor run(const torch::Tensor& images) const;

 private:
  /// What an operation reads besides activations: folded, in the plan's type and layout.
  struct Parameters {
    torch::Tensor weight, bias;              // of a convolution or a linear layer
    torch::Tensor scale, shift;              // [C, 1, 1], of a batch norm by itself
    torch::Tensor input_scale, input_shift;  // [C, 1, 1], of one that comes before a convolution
  };

  Parameters fold(const Node& node, const std::vector<torch::Tensor>& tensors) const;
  torch::Tensor compute(const Node& node, const Parameters& parameters, const std::vector<torch::Tensor>& values) const;
  torch::Tensor convolve(const Node& node, const Parameters& parameters, const std::vector<torch::Tensor>& values) const;

  std::shared_ptr<const Graph> graph_;
  bool has_cudnn_;
  torch::Dtype type_;
  torch::MemoryFormat layout_;
  std::vector<std::size_t> last_reader_;  // by node: the last that reads it
  std::vector<Parameters> parameters_;    // by node
};

}  // namespace lossatlas
