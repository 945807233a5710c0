#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/MemoryFormat.h>

#include <optional>
#include <vector>

#include "fused/graph.h"

namespace lossatlas {

/// What an operation of a graph reads in addition to activations, batch norms folded in. Undefined if it has none.
struct FoldedParameters {
  at::Tensor weight, bias;              // of a convolution or a linear layer
  at::Tensor scale, shift;              // [C, 1, 1], of a batch norm by itself
  at::Tensor input_scale, input_shift;  // [C, 1, 1], of one that comes before a convolution
};

/// Folds the batch norms of a whole graph into its convolutions by some thirty operators, however deep the network is:
/// on a GPU the many small kernels of one fold a layer take longer than a small batch. All is computed in float64 and
/// rounded once. Memory: 8 bytes a weight, and 16 while folding at most 16 million weights at a time.
class TensorFold {
 public:
  /// `tensors`: parameters and buffers by TensorIndex; their shapes and device are those of every call.
  /// Four-dimensional weights are written in this layout.
  TensorFold(const Graph& graph, const std::vector<at::Tensor>& tensors, at::MemoryFormat layout);

  /// By node, of this type. The result shares memory among nodes.
  std::vector<FoldedParameters> operator()(const std::vector<at::Tensor>& tensors, at::ScalarType type) const;

 private:
  /// Where the parts of a node begin in the vectors of all weights, biases and channels.
  struct Place {
    std::int64_t weight = 0, bias = 0, norm = 0, input_norm = 0;
    std::vector<std::int64_t> sizes = {};  // of the weight; none for an operation without
    bool is_norm = false, has_input_norm = false;
    std::int64_t channels = 0, input_channels = 0;
  };

  at::Tensor weights_of(const at::Tensor& all, const at::Tensor& scale, at::ScalarType type) const;

  at::MemoryFormat layout_;
  std::vector<Place> places_;      // by node
  std::vector<std::size_t> used_;  // the tensors that are read, in the order in which they are put together
  at::Tensor constants_;           // 1 and 0, after them
  // Positions in that vector, or in the channels of all norms, of which the first changes nothing.
  at::Tensor variance_, norm_weight_, mean_, norm_bias_;
  at::Tensor epsilon_;
  at::Tensor weight_from_, weight_channel_;
  at::Tensor bias_from_, bias_channel_;
};

}  // namespace lossatlas
