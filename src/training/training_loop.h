#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/data_set.h"
#include "models/spec.h"
#include "models/state.h"
#include "training/history.h"
#include "training/minibatch.h"
#include "training/optimizer.h"
#include "training/training_progress.h"

namespace lossatlas {

class Network;

struct TrainingHooks {
  const std::atomic<bool>* stop = nullptr;  // when true: save and return after the step under way
  std::function<void(const TrainingProgress&)> on_step;
  std::function<void(const HistoryRow&)> on_epoch;
};

struct LoopOptions {
  std::int64_t batch_size = 128;
  std::int64_t epochs = 1;
  std::uint64_t seed = 0;
  bool augment = false;
};

/// The part of a training that does not depend on what is trained: minibatches, gradients, sums, where it stands.
class TrainingLoop {
 public:
  /// What one step does around the gradient of the minibatch's loss (cross-entropy, batch norm in training mode).
  struct Step {
    std::function<double()> learning_rate;  // of the step to come
    /// Takes .grad() of the network's parameters.
    std::function<void(double rate, const MinibatchShare& share)> descend;
    std::function<void()> prepare = {};  // before the gradient: puts parameters into the network
  };

  /// The network, on the device, takes the layout that trains fastest.
  TrainingLoop(const LoopOptions& options, std::shared_ptr<Network> network, std::shared_ptr<const DataSet> train,
               at::Device device, Step step);

  /// Trains the epoch under way to its end; false when stopped before. Throws Error where the loss is not finite.
  bool train_epoch(const TrainingHooks& hooks);
  /// Ends the epoch: its training values, and the rate at its end. Test values are NaN.
  HistoryRow finish_epoch();

  std::int64_t epoch() const { return epoch_; }            // finished epochs
  std::int64_t step() const { return step_; }              // finished steps of the next one
  std::int64_t steps() const { return sampler_.steps(); }  // of an epoch
  std::int64_t steps_taken() const { return epoch_ * steps() + step_; }
  at::MemoryFormat layout() const { return layout_; }

  /// Where it stands, for a run that is cut off, and back.
  nlohmann::json state() const;
  void restore(const nlohmann::json& state);

 private:
  /// Sums over the minibatches of an epoch.
  struct Sums {
    double loss = 0;
    std::int64_t correct = 0;
    std::int64_t images = 0;
    double seconds = 0;

    double mean_loss() const { return loss / static_cast<double>(images); }
    double accuracy() const { return 100 * static_cast<double>(correct) / static_cast<double>(images); }
  };

  Minibatch take_minibatch();
  void train_step();
  TrainingProgress progress() const;

  LoopOptions options_;
  std::shared_ptr<Network> network_;
  std::shared_ptr<const DataSet> train_;
  at::Device device_;
  Step rule_;
  at::MemoryFormat layout_;
  MinibatchSampler sampler_;
  std::int64_t epoch_ = 0, step_ = 0;
  Sums sums_;
  std::future<Minibatch> ahead_;  // of the next step, if it is on its way; only then does another thread use sampler_
};

/// The tensor with its numbers in this order in memory; only those of four dimensions have another than their own.
at::Tensor in_layout(const at::Tensor& tensor, at::MemoryFormat layout);

/// The first setting that differs, in words; empty where none does. The optimizer before its own numbers.
std::string first_difference(const nlohmann::json& ours, const nlohmann::json& theirs);

/// What a reader of a checkpoint needs to use it right: arch, classes, width, data, mean, std, input.
nlohmann::json checkpoint_metadata(const NetworkSpec& network, const DataSet& train);

}  // namespace lossatlas
