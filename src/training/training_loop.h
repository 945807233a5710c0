#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/data_set.h"
#include "models/spec.h"
#include "models/state.h"
#include "training/history.h"
#include "training/optimizer.h"
#include "training/trainee.h"
#include "training/training_progress.h"

namespace lossatlas {

struct TrainingHooks {
  const std::atomic<bool>* stop = nullptr;  // when true: save and return after the step under way
  std::function<void(const TrainingProgress&)> on_step;
  std::function<void(const HistoryRow&)> on_epoch;
};

/// The part of a training that does not depend on what is trained: minibatches, gradients, sums, its position.
class TrainingLoop {
 public:
  /// What one step does around the gradient of the minibatch's loss.
  struct Step {
    std::function<double()> learning_rate;  // of the step to come
    /// Takes .grad() of the trainee's parameters.
    std::function<void(double rate, const MinibatchShare& share)> descend;
    std::function<void()> prepare = {};  // before the gradient: puts parameters into the trainee
  };

  TrainingLoop(std::int64_t epochs, std::unique_ptr<Trainee> trainee, Step step);

  /// Trains the epoch under way to its end; false when stopped before. Throws Error if the loss is not finite.
  bool train_epoch(const TrainingHooks& hooks);
  /// Ends the epoch: its training values, and the rate at its end. Test values are NaN.
  HistoryRow finish_epoch();

  std::int64_t epoch() const { return epoch_; }             // finished epochs
  std::int64_t step() const { return step_; }               // finished steps of the next one
  std::int64_t steps() const { return trainee_->steps(); }  // of an epoch
  std::int64_t steps_taken() const { return epoch_ * steps() + step_; }
  const Trainee& trainee() const { return *trainee_; }

  /// Its position, for a run that is interrupted, and back.
  nlohmann::json state() const;
  void restore(const nlohmann::json& state);

 private:
  /// Sums over the minibatches of an epoch.
  struct Sums {
    double loss = 0;     // Σ weight · loss
    double correct = 0;  // NaN if it is not known
    double weight = 0;
    std::int64_t images = 0;
    double seconds = 0;

    double mean_loss() const { return loss / weight; }
    double accuracy() const { return 100 * correct / weight; }
  };

  void train_step();
  TrainingProgress progress() const;

  std::int64_t epochs_;
  std::unique_ptr<Trainee> trainee_;
  Step rule_;
  std::int64_t epoch_ = 0, step_ = 0;
  Sums sums_;
};

/// The tensor with its numbers in this order in memory; only those of four dimensions have another than their own.
at::Tensor in_layout(const at::Tensor& tensor, at::MemoryFormat layout);

/// The first setting that differs, in words; empty if none does. The optimizer before its own numbers.
std::string first_difference(const nlohmann::json& ours, const nlohmann::json& theirs);

/// What a reader of a checkpoint needs to use it right: arch, classes, width, data, mean, std, input.
nlohmann::json checkpoint_metadata(const NetworkSpec& network, const DataSet& train);

}  // namespace lossatlas
