#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>

#include "base/error.h"
#include "fused/graph.h"

namespace torch::jit {
struct Graph;
}

namespace lossatlas {

class Network;
struct NetworkTensors;

/// Why a network cannot be lowered; the text names the operator.
class CannotLower : public Error {
 public:
  using Error::Error;
};

/// Runs the network once on images [2, C, H, W], records what LibTorch does (its tracer), and translates that; of a
/// TorchScript network, translates its own graph.
/// The network must be in evaluation mode, its parameters without gradients. Throws CannotLower.
Graph lower(Network& network, const std::array<std::int64_t, 3>& input);

/// Translates a graph of TorchScript whose last input are images [N, C, H, W] and whose one result are logits; the
/// tensors of the state are constants in it. Throws CannotLower.
Graph lower(const torch::jit::Graph& graph, const NetworkTensors& state, const std::array<std::int64_t, 3>& input);

}  // namespace lossatlas
