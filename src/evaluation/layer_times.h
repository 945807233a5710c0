#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/instruction_set.h"

namespace lossatlas {

class Problem;
struct NetworkTensors;

struct LayerTime {
  std::string operation, method;
  std::array<std::int64_t, 3> result{};  // [C, H, W]
  std::array<std::int64_t, 2> window{};  // [H, W]
  double seconds = 0;                    // an image
  double flops = 0;                      // of the sum of products as it is defined, an image; 0 for what is none
};

struct LayerTimes {
  std::vector<LayerTime> layers;
  double peak = 0;          // floating-point operations of one thread a second at best
  double load_seconds = 0;  // a point: parameters folded and packed
  std::size_t memory = 0;   // bytes of one thread
};

/// How long the layers of a network with these parameters take on one thread of the fused engine: `repeats` forward
/// passes of `batch_size` random images. Throws CannotLower if the network cannot be lowered.
LayerTimes time_layers(const Problem& problem, const NetworkTensors& state, InstructionSet set, Precision precision,
                       std::int64_t batch_size, std::int64_t repeats);

}  // namespace lossatlas
