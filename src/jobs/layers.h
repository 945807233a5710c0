#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "evaluation/layer_times.h"

namespace lossatlas {

/// Asks how long the layers of a network take on one thread of the fused engine.
struct LayersRequest {
  std::string arch;
  std::filesystem::path problem;  // in the place of arch: a file of export_problem
  std::int64_t batch_size = 128;  // images
  std::int64_t repeats = 5;       // forward passes
  std::string instruction_set = "auto", dtype = "fp32";
};

/// Throws UsageError and Error as make_network, arithmetic_of and ProblemFile do, and CannotLower.
LayerTimes time_layers(const LayersRequest& request);

}  // namespace lossatlas
