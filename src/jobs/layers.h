#pragma once

#include <cstdint>
#include <string>

#include "evaluation/layer_times.h"

namespace lossatlas {

/// Asks how long the layers of a network take on one thread of the fused engine.
struct LayersRequest {
  std::string arch;
  std::int64_t batch_size = 128;  // images
  std::int64_t repeats = 5;       // forward passes
  std::string instruction_set = "auto", dtype = "fp32";
};

/// Throws UsageError and Error as make_network and arithmetic_of do.
LayerTimes time_layers(const LayersRequest& request);

}  // namespace lossatlas
