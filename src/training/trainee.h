#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "data/data_set.h"
#include "evaluation/samples.h"
#include "models/state.h"

namespace lossatlas {

class Network;
class ProblemFile;

/// Of the network's minibatches.
struct MinibatchOptions {
  std::int64_t batch_size = 128;
  std::uint64_t seed = 0;
  bool augment = false;  // of images: as in MinibatchSampler
};

/// A network with its loss, in training mode, and the minibatches of its data.
class Trainee {
 public:
  /// What a minibatch gave.
  struct Step {
    double loss = 0;     // its mean
    double correct = 0;  // weight times the share of it that is right; NaN if that is not measured
    double weight = 0;   // what it counts in the means of an epoch
    std::int64_t samples = 0;
  };

  virtual ~Trainee() = default;

  /// Minibatches in an epoch, and samples in them.
  virtual std::int64_t steps() const = 0;
  virtual std::int64_t samples() const = 0;
  virtual std::string_view sample() const { return "image"; }  // what one is called
  /// The tensors that train, in the network's order, on the device.
  virtual const std::vector<NamedTensor>& parameters() const = 0;
  /// The layout in memory in which they train fastest.
  virtual at::MemoryFormat layout() const { return at::MemoryFormat::Contiguous; }
  /// Puts the gradient of a minibatch's mean loss into .grad() of the parameters. `prepare` may change them before.
  virtual Step differentiate(std::int64_t epoch, std::int64_t step, const std::function<void()>& prepare) = 0;
};

/// A classifier, on the device, with cross-entropy. It takes the layout that trains fastest.
std::unique_ptr<Trainee> make_trainee(std::shared_ptr<Network> network, std::shared_ptr<const DataSet> train,
                                      const MinibatchOptions& options, at::Device device);

/// The network of a problem file with its own loss; batch norm in training mode, everything else in
/// evaluation mode. Minibatches of fixed size leave out what does not fill one; those of a loss that couples their
/// samples are taken as a whole, in random order.
std::unique_ptr<Trainee> make_trainee(std::shared_ptr<const ProblemFile> file,
                                      std::shared_ptr<const SampleSource> samples, const MinibatchOptions& options,
                                      at::Device device);

}  // namespace lossatlas
