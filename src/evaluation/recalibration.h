#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "base/instruction_set.h"
#include "evaluation/samples.h"
#include "models/spec.h"
#include "models/state.h"

namespace lossatlas {

struct Graph;

/// Throws Error for a network from TorchScript, whose batch norms cannot be reached.
void check_recalibration(const NetworkSpec& network);

/// Estimates batch-norm statistics again for given parameters: one pass over training samples with batch norm in
/// training mode and everything else in evaluation mode. Means and variances are averages over the batches, weighted by
/// their samples (as Garipov et al. 2018 do after moving between networks). One a thread.
class Recalibration {
 public:
  virtual ~Recalibration() = default;
  /// `state` with its statistics replaced. They may be this object's own, valid until the next call.
  virtual NetworkTensors apply(const NetworkTensors& state) = 0;
};

/// By LibTorch, operator by operator. Throws as check_recalibration does.
std::unique_ptr<Recalibration> make_eager_recalibration(const NetworkSpec& network,
                                                        std::shared_ptr<const SampleSource> images, at::Device device);

/// The graph for a fused recalibration. Throws CannotLower if the network cannot be lowered or uses a batch norm
/// twice, else as check_recalibration does.
std::shared_ptr<const Graph> make_recalibration_graph(const NetworkSpec& network);

/// By kernels of our own, on the CPU. `graph`: from make_recalibration_graph.
std::unique_ptr<Recalibration> make_fused_recalibration(std::shared_ptr<const Graph> graph,
                                                        std::shared_ptr<const SampleSource> images, InstructionSet set);

}  // namespace lossatlas
