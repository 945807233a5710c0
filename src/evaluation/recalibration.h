#pragma once

#include <torch/types.h>

#include <memory>

#include "evaluation/batches.h"
#include "models/network.h"

namespace lossatlas {

/// Throws Error for a network from TorchScript, whose batch norms cannot be reached.
void check_recalibration(const NetworkSpec& network);

/// Estimates batch-norm statistics anew for given parameters: one pass over training images with batch norm in training
/// mode and everything else in evaluation mode. Means and variances are averages over the batches, weighted by their
/// images (as Garipov et al. 2018 do after moving between networks). One a thread.
class Recalibration {
 public:
  /// Throws as check_recalibration does.
  Recalibration(const NetworkSpec& network, std::shared_ptr<const DataSet> images, torch::Device device);

  /// `state` with its statistics replaced. The buffers are this object's own, valid until the next call.
  NetworkState apply(const NetworkState& state);

 private:
  Batches images_;
  std::shared_ptr<Network> network_;
  NetworkState own_;
};

}  // namespace lossatlas
