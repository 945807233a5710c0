#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace lossatlas {

/// A network as the fused evaluator sees it: a list of operations on activations, in an order in which they can run.
/// pad: channels of zeros before and after the others. moments: of a batch norm's input, over the whole batch.
enum class Operation {
  input,
  convolution,
  linear,
  batch_norm,
  relu,
  add,
  max_pool,
  average_pool,
  concatenate,
  pad,
  flatten,
  moments
};

/// Shape of the activations of one image.
struct ImageShape {
  std::int64_t channels = 0, height = 1, width = 1;

  std::int64_t size() const { return channels * height * width; }
  bool operator==(const ImageShape&) const = default;
};

/// Place of a tensor in NetworkTensors: parameters are counted first, then buffers.
using TensorIndex = std::size_t;

/// Batch norm in evaluation mode: (x - mean) / √(variance + epsilon) * weight + bias. Weight and bias may be missing.
struct BatchNorm {
  std::optional<TensorIndex> weight, bias;
  TensorIndex mean = 0, variance = 0;
  double epsilon = 1e-5;

  bool operator==(const BatchNorm&) const = default;
};

struct Node {
  Operation operation = Operation::input;
  std::vector<std::size_t> inputs;          // earlier nodes
  ImageShape shape;                         // of the result
  Window window;                            // of a convolution or a pooling
  bool count_padding = true;                // average pooling
  std::int64_t channels_before = 0;         // pad: zeros in front
  std::optional<TensorIndex> weight, bias;  // of a convolution or a linear layer
  std::optional<BatchNorm> norm;            // of a batch norm and its moments; of a convolution: applied to its result

  // What fuse() moves into a node. Order: input norm and ReLU, the operation, norm, residual, ReLU.
  std::optional<BatchNorm> input_norm;
  bool input_relu = false;
  std::optional<std::size_t> residual;  // an earlier node whose result is added
  bool relu = false;
};

struct Graph {
  std::vector<Node> nodes;  // the first is the input, the last the logits
  std::size_t tensors = 0;  // parameters and buffers of the network
};

/// Moves batch norms, residual sums and ReLUs into the operations that they follow, and a batch norm with its ReLU into
/// the 1x1 convolution that is its only reader. The result computes the same; nodes that nothing reads are dropped.
Graph fuse(Graph graph);

/// The graph for batch norms in training mode: each stays a node of its own, whose second input are the moments of its
/// first. All else is joined as in fuse().
Graph fuse_with_moments(Graph graph);

}  // namespace lossatlas
