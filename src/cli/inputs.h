#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "checkpoint/checkpoint.h"
#include "data/data_set.h"
#include "models/network.h"

namespace lossatlas {

/// The words about data that several commands share.
struct DataWords {
  std::string data;
  std::string mean, std;  // "" : the checkpoint's, else the data's own

  void add_to(CLI::App& command);

  /// Loads a split; --mean and --std, else what the checkpoint was trained with, replace the data's normalization.
  DataSet load(Split split, const nlohmann::json& metadata = nlohmann::json::object()) const;
};

/// The words that decide the network.
struct NetworkWords {
  std::string arch;
  std::int64_t classes = 0;  // 0: the checkpoint's, else the data's
  std::int64_t width = 0;    // 0: the checkpoint's, else the architecture's own

  void add_to(CLI::App& command, bool arch_required);

  /// Throws UsageError where neither the words nor the checkpoint name an architecture.
  NetworkSpec spec(const DataSet& data, const nlohmann::json& metadata = nlohmann::json::object()) const;
};

/// Throws Error where a file stands at `file` and is not to be replaced, or could not be written there.
void check_output(const std::filesystem::path& file, bool force);

/// For CLI11: numbers above 0.
CLI::Validator above_zero();

/// The processors this process may use.
int default_threads();

}  // namespace lossatlas
