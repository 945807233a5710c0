#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "evaluation/classifier.h"
#include "evaluation/evaluator.h"
#include "jobs/arithmetic.h"
#include "jobs/request.h"
#include "jobs/samples.h"
#include "landscape/direction.h"
#include "models/spec.h"
#include "models/state.h"
#include "programs/problem_file.h"
#include "surface/settings.h"
#include "surface/surface.h"

namespace lossatlas {

/// Its architecture is "" if neither the request nor the metadata name one.
NetworkSpec spec_of(const NetworkRequest& request, const DataSet& data,
                    const nlohmann::json& metadata = nlohmann::json::object());

/// The network that a checkpoint belongs to: a file of TorchScript or torch.export brings its own if the request names
/// none. Throws UsageError if nothing names an architecture, with those that the checkpoint fits.
NetworkSpec spec_of(const NetworkRequest& request, const DataSet& data, const Checkpoint& checkpoint,
                    const std::filesystem::path& file);

/// A checkpoint as it was read.
struct KnownCheckpoint {
  NetworkState state;                                  // on the CPU
  std::string sha256;                                  // of the file's bytes
  std::vector<std::string> notes = {};                 // for people, without the file's name
  nlohmann::json metadata = nlohmann::json::object();  // the file's
};

inline constexpr auto kNoCheckpoint =
    "`checkpoint` is required: a file, or a run folder for its last epoch; or `problem`, for a network of your own";

/// What is read before anything is computed.
struct LandscapeInputs {
  std::filesystem::path checkpoint;
  std::string key;          // as of the request
  DataRequest data;         // the same
  nlohmann::json metadata;  // the checkpoint's
  ChosenSamples images;
  ChosenSamples second;  // of both splits: the test samples; else without data
  // Training samples for the batch-norm statistics, if they are re-estimated; null for a network without batch norm.
  std::shared_ptr<const SampleSource> recalibration;
  std::string recalibration_sha256;
  std::int64_t batch_norms = 0;                  // that keep statistics
  std::shared_ptr<const Problem> problem;        // the network with its loss
  std::shared_ptr<const ProblemFile> file = {};  // that it came from; null: a network of ours or TorchScript, and then
  NetworkSpec spec = {};                         // which,
  PixelNormalization normalization = {};         // and how pixels enter it
  NetworkState origin;                           // the checkpoint, on the CPU
  std::vector<std::string> notes;                // for people, on what was chosen for them
  /// Every checkpoint that was read, so that none is read twice: its file may be another by then. Not for several
  /// threads.
  std::shared_ptr<std::map<std::filesystem::path, KnownCheckpoint>> known =
      std::make_shared<std::map<std::filesystem::path, KnownCheckpoint>>();
};

/// Reads the checkpoint at the origin and the samples, for a device. `checkpoint`: "" or the problem file for the
/// parameters that it holds. `is_nested`: all samples in the order of a stratified sample, so that the first of them
/// are one too.
LandscapeInputs read_inputs(const LandscapeRequest& request, const LandscapeOptions& options,
                            const std::filesystem::path& checkpoint, at::Device device, Observer& observer,
                            bool is_nested = false);

/// What a filter of each parameter is, by the module that owns it; empty if nobody says.
std::vector<Slices> slices_of(const LandscapeInputs& inputs);

/// What samples are called.
std::string_view samples_word(const LandscapeInputs& inputs);

/// Another checkpoint of the same network, on the CPU, as it was when it was first asked for. Throws Error naming the
/// file if it does not fit.
NetworkState read_state(const std::filesystem::path& file, const LandscapeInputs& inputs);

/// The notes of the inputs, and of each checkpoint that was read.
std::vector<std::string> notes_of(const LandscapeInputs& inputs);

/// A note on a file, without its name.
struct FileNote {
  std::filesystem::path file;
  std::string text;
};

/// One line for each text: "a.pt and 3 more: …".
std::vector<std::string> gathered(const std::vector<FileNote>& notes);

Engine make_engine(const LandscapeRequest& request, const LandscapeOptions& options, const LandscapeInputs& inputs,
                   at::Device device);

/// What is measured at each point.
std::vector<Measure> measures_of(const Extras& extras, const LandscapeOptions& options, const LandscapeInputs& inputs);

/// As settings know a file.
FileIdentity identity_of(const std::filesystem::path& file, const std::string& sha256);

/// The same of a checkpoint, which is read (read_state) if it was not yet.
FileIdentity identity_of_checkpoint(const std::filesystem::path& file, const LandscapeInputs& inputs);

/// The network's and the data's.
Settings settings_of_problem(const LandscapeInputs& inputs);

/// What decides the values at a point of a plane: network, checkpoint, images, arithmetic.
Settings settings_of(const LandscapeRequest& request, const LandscapeOptions& options, const LandscapeInputs& inputs,
                     const Engine& engine);

}  // namespace lossatlas
