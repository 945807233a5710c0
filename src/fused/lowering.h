#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>

#include "base/error.h"
#include "fused/graph.h"

namespace lossatlas {

class Network;

/// Why a network cannot be lowered; the text names the operator.
class CannotLower : public Error {
 public:
  using Error::Error;
};

/// Runs the network once on images [2, C, H, W], records what LibTorch does (its tracer), and translates that; of a
/// TorchScript network, translates its own graph.
/// The network must be in evaluation mode, its parameters without gradients. Throws CannotLower.
Graph lower(Network& network, const std::array<std::int64_t, 3>& input);

}  // namespace lossatlas
