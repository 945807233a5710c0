#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lossatlas {

/// One epoch of a training run; epoch 0 is the untrained network, whose training values are NaN.
struct HistoryRow {
  std::int64_t epoch = 0;
  double learning_rate = 0;
  double train_loss = 0;  // mean over the epoch's minibatches as they were trained on (training mode, augmented)
  double train_acc = 0;   // percent
  double test_loss = 0;   // after the epoch, batch norm in evaluation mode
  double test_acc = 0;    // percent
  double seconds = 0;     // of training, tests not counted
};

struct History {
  std::vector<HistoryRow> rows;
  nlohmann::json settings;     // what decides the run
  std::string unit = "epoch";  // of the rows, or "step": Python's lossatlas.Recorder counts either
};

/// Root datasets epoch, learning_rate, train_loss, train_acc, test_loss, test_acc, seconds, each [rows].
void write_history(const std::filesystem::path& file, const History& history);
History read_history(const std::filesystem::path& file);

}  // namespace lossatlas
