#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "data/data_set.h"
#include "evaluation/evaluator.h"
#include "jobs/arithmetic.h"
#include "jobs/request.h"
#include "models/spec.h"
#include "models/state.h"
#include "surface/settings.h"
#include "surface/surface.h"

namespace lossatlas {

/// Loads a split; what the request or, of a checkpoint, its metadata say of the normalization replaces the data's own.
DataSet load(const DataRequest& request, Split split, const nlohmann::json& metadata = nlohmann::json::object());
/// Sets that normalization, of data that were loaded before the checkpoint was read.
void normalize(const DataRequest& request, DataSet& set, const nlohmann::json& metadata);

/// Its architecture is "" if neither the request nor the metadata name one.
NetworkSpec spec_of(const NetworkRequest& request, const DataSet& data,
                    const nlohmann::json& metadata = nlohmann::json::object());

/// The network that a checkpoint belongs to: a TorchScript file brings its own if the request names none. Throws
/// UsageError if nothing names an architecture, with those that the checkpoint fits.
NetworkSpec spec_of(const NetworkRequest& request, const DataSet& data, const Checkpoint& checkpoint,
                    const std::filesystem::path& file);

/// Images of one split.
struct SampledImages {
  std::shared_ptr<const DataSet> data;
  std::vector<std::int64_t> samples;  // indices within the split
  bool is_sample = false;             // a stratified one, seeded
  std::int64_t population = 0;        // images in the whole split
  std::string sha256;                 // digest_of the data; "" without data
};

/// A checkpoint as it was read.
struct KnownCheckpoint {
  NetworkState state;  // on the CPU
  std::string sha256;  // of the file's bytes
};

/// What is read before anything is computed.
struct LandscapeInputs {
  std::filesystem::path checkpoint;
  nlohmann::json metadata;  // the checkpoint's
  SampledImages images;
  SampledImages second;  // of both splits: the test images; else without data
  // Training images for the batch-norm statistics, if they are re-estimated; null for a network without batch norm.
  std::shared_ptr<const DataSet> recalibration;
  std::string recalibration_sha256;
  NetworkSpec spec;
  NetworkState origin;             // the checkpoint, on the CPU
  std::vector<std::string> notes;  // for people, on what was chosen for them
  /// Every checkpoint that was read, so that none is read twice: its file may be another by then. Not for several
  /// threads.
  std::shared_ptr<std::map<std::filesystem::path, KnownCheckpoint>> known =
      std::make_shared<std::map<std::filesystem::path, KnownCheckpoint>>();
};

/// Reads the checkpoint at the origin and the images. `is_nested`: all images in the order of a stratified sample, so
/// that the first of them are one too.
LandscapeInputs read_inputs(const LandscapeRequest& request, const LandscapeOptions& options,
                            const std::filesystem::path& checkpoint, bool is_nested = false);

/// Another checkpoint of the same network, on the CPU, as it was when it was first asked for. Throws Error naming the
/// file where it does not fit.
NetworkState read_state(const std::filesystem::path& file, const LandscapeInputs& inputs);

Engine make_engine(const LandscapeRequest& request, const LandscapeOptions& options, const LandscapeInputs& inputs,
                   at::Device device);

/// What is measured at each point.
std::vector<Measure> measures_of(const Extras& extras, const LandscapeOptions& options, const LandscapeInputs& inputs);

/// As settings know a file.
FileIdentity identity_of(const std::filesystem::path& file, const std::string& sha256);

/// The same of a checkpoint, which is read (read_state) if it was not yet.
FileIdentity identity_of_checkpoint(const std::filesystem::path& file, const LandscapeInputs& inputs);

/// The network's and the data's.
Settings settings_of(const NetworkSpec& network, const DataSet& data);

/// What decides the values at a point of a plane: network, checkpoint, images, arithmetic.
Settings settings_of(const LandscapeRequest& request, const LandscapeOptions& options, const LandscapeInputs& inputs,
                     const Engine& engine);

}  // namespace lossatlas
