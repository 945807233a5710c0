#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/data_set.h"
#include "models/spec.h"
#include "optimizers/schedule.h"
#include "training/history.h"
#include "training/optimizer.h"
#include "training/training_loop.h"

namespace lossatlas {

struct TrainingOptions {
  NetworkSpec network;
  OptimizerOptions optimizer;
  double learning_rate = 0.1;
  RateSchedule schedule;  // in epochs. Its length may be 0: the run's own when one is resumed, else `epochs`
  std::int64_t batch_size = 128;
  std::int64_t epochs = 1;
  std::uint64_t seed = 0;
  bool augment = false;
  std::int64_t save_every = 1;  // epochs between checkpoints; the first and the last are always kept
  int threads = 1;              // inside operators; with 1 a run gives the same bits each time
};

struct TrainingSummary {
  bool finished = false;             // false: stopped
  std::filesystem::path checkpoint;  // the last one written
  HistoryRow last;
};

/// A training run and its folder:
///   FOLDER/history.h5                 a row an epoch
///   FOLDER/checkpoints/epoch-0000.pt  the initial network, then one every save_every epochs and the last
///   FOLDER/resume.pt                  from which an interrupted run continues: parameters, optimizer memory, epoch,
///   step
/// A run that is interrupted and resumed ends in the same bits as one that was not, given one thread.
class TrainingRun {
 public:
  TrainingRun(TrainingOptions options, std::shared_ptr<const DataSet> train, std::shared_ptr<const DataSet> test,
              at::Device device, std::filesystem::path folder);
  ~TrainingRun();

  /// Starts over from the seed and removes the files of an earlier run. Throws Error, before anything is changed, if
  /// a file has the name of one of these but was not written by a run.
  void start();
  /// Continues from resume.pt. Throws Error if the folder holds no resume.pt, or one of other settings (named), or of
  /// a cosine that ends before `epochs`. False if the run held no digest of its data (data_digest.h), so that they
  /// could not be compared; it holds one then.
  bool resume();
  /// Trains to the last epoch, or until stopped.
  TrainingSummary run(const TrainingHooks& hooks);

  /// True if the folder holds a run.
  static bool exists(const std::filesystem::path& folder);
  /// True for a run that was cut off before its first resume.pt: nothing but the untrained network is there.
  static bool has_only_begun(const std::filesystem::path& folder);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Everything that decides the values of a run, except for the number of epochs.
nlohmann::json settings_of(const TrainingOptions& options, const DataSet& train, const DataSet* test,
                           const at::Device& device);

}  // namespace lossatlas
