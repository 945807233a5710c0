#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/processors.h"
#include "cli/inputs.h"
#include "cli/report.h"
#include "cli/words.h"
#include "evaluation/evaluator.h"

namespace lossatlas {

inline constexpr std::int64_t kDefaultBatch = 128;  // images

/// The words that commands which evaluate a landscape share: what is evaluated, on which images, how, and into what.
struct LandscapeWords {
  std::filesystem::path checkpoint;
  NetworkWords network;
  DataWords data;
  std::filesystem::path out = "outputs/surface.h5";
  std::string split = "train";  // or test, or both
  std::int64_t samples = 0;     // 0: all
  std::uint64_t sample_seed = 0;
  std::string loss = "cross-entropy";
  Extras extras;
  std::string batch_norm;              // "": recalibrate between networks, else stored
  std::int64_t batch_norm_images = 0;  // 0: 1000, or all where there are fewer
  std::int64_t batch_size = 0;         // 0: as check() has it
  std::string device = "cpu";
  std::string engine = "auto", instruction_set = "auto", dtype = "fp32";
  int threads = usable_processors();
  std::string progress = "line";
  std::filesystem::path log;
  bool force = false, resume = false, join = false;
  std::vector<std::string> notes;  // on the words, for people

  /// --checkpoint, the network, the data.
  void add_inputs_to(CLI::App& command);
  /// Those but --checkpoint.
  void add_network_to(CLI::App& command);
  /// Images and values: --split to --bn-images.
  void add_values_to(CLI::App& command);
  /// --batch-size, device and engine, threads; --out, progress.
  void add_running_to(CLI::App& command);
  /// --resume, --join, --force.
  void add_going_on_to(CLI::App& command);

  /// True where an existing --out is gone on with, not replaced.
  bool goes_on() const { return resume || join; }
};

/// The same, as far as it is checked without a file.
struct LandscapeOptions {
  Split split;
  std::optional<Split> second;  // with --split both
  LossFunction loss;
  EngineChoice engine;
  Arithmetic arithmetic;
  std::int64_t batch_size;
  ProgressStyle progress;
  bool is_between_networks = false;  // through several checkpoints; not checked here
};

/// Throws UsageError for wrong words.
LandscapeOptions check(const LandscapeWords& words);

}  // namespace lossatlas
