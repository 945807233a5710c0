#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "evaluation/criterion.h"
#include "evaluation/program.h"
#include "evaluation/recalibration.h"
#include "evaluation/samples.h"
#include "models/state.h"

namespace lossatlas {

struct Graph;

/// What the fused engine runs of a problem.
struct FusedPart {
  std::shared_ptr<const Graph> graph;          // the first input of a batch, images, to logits
  std::shared_ptr<const Criterion> criterion;  // of these logits
  std::vector<NamedTensor> fixed = {};         // tensors of the graph that follow those of the state, on the CPU
};

/// A network and the loss of its outputs, each by itself.
struct NetworkAndLoss {
  std::unique_ptr<Program> network;
  std::shared_ptr<const Criterion> loss;
};

/// A network with its loss: what engines run. Any thread may use one.
class Problem {
 public:
  virtual ~Problem() = default;

  /// Of the network, for messages: "resnet18".
  virtual const std::string& name() const = 0;
  /// Of what its programs put out.
  virtual std::shared_ptr<const Criterion> criterion() const = 0;
  /// The network in evaluation mode; its tensors are those of a state on the device.
  virtual std::unique_ptr<Program> make_program(at::Device device) const = 0;
  /// The same with a program whose outputs are the network's, and the loss of these. Throws Error if the loss reads the
  /// parameters itself.
  virtual NetworkAndLoss apart(at::Device device) const { return {make_program(device), criterion()}; }
  /// What else than the sample its loss depends on: "" for nothing, else a text as in "a batch norm uses the
  /// statistics of each batch".
  virtual std::string coupling() const { return ""; }
  /// Samples that a batch must have; 0: any number.
  virtual std::int64_t fixed_batch() const { return 0; }
  /// Throws Error unless these are samples that it takes.
  virtual void check_fit(const SampleSource& samples) const = 0;

  /// Throws CannotLower if the fused engine lacks something. Checked: the logits are LibTorch's.
  virtual FusedPart lower() const = 0;
  /// The graph for a fused recalibration; null if LibTorch has to recalibrate.
  virtual std::shared_ptr<const Graph> lower_for_recalibration() const { return nullptr; }
  /// Throws Error if the statistics of its batch norms cannot be estimated again.
  virtual void check_recalibration() const = 0;
  /// By LibTorch, operator by operator, on these samples. Throws as check_recalibration does.
  virtual std::unique_ptr<Recalibration> make_recalibration(std::shared_ptr<const SampleSource> samples,
                                                            at::Device device) const = 0;
};

}  // namespace lossatlas
