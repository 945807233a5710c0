#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <vector>

#include "fused/graph.h"
#include "fused/tensor_fold.h"

namespace lossatlas {

/// A fused graph run on tensors by LibTorch, batch norms folded into the convolutions once a point. On CUDA a
/// convolution, its bias, residual and ReLU are one call of cuDNN. Runs on the CPU too, for tests: Plan is faster
/// there.
class TensorPlan {
 public:
  /// tf32 rounds factors where a CUDA device's matrix units do so (at::Context::allowTF32CuDNN, which is process-wide
  /// and the caller's to set); bf16 rounds parameters and activations.
  TensorPlan(std::shared_ptr<const Graph> graph, at::Device device, Precision precision);

  /// Takes the parameters of a point: those of NetworkTensors by TensorIndex, on the device.
  void load(const std::vector<at::Tensor>& tensors);

  /// Images [N, C, H, W] to logits [N, classes], float32, on the device. Where no gradients are recorded.
  at::Tensor run(const at::Tensor& images) const;

 private:
  at::Tensor compute(const Node& node, const FoldedParameters& parameters, const std::vector<at::Tensor>& values) const;
  at::Tensor convolve(const Node& node, const FoldedParameters& parameters,
                      const std::vector<at::Tensor>& values) const;

  std::shared_ptr<const Graph> graph_;
  bool has_cudnn_;
  at::ScalarType type_;
  at::MemoryFormat layout_;
  std::vector<std::size_t> last_reader_;      // by node: the last that reads it
  std::optional<TensorFold> fold_;            // since the first load
  std::vector<FoldedParameters> parameters_;  // by node
};

}  // namespace lossatlas
