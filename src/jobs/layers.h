#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace lossatlas {

/// Asks how long the layers of a network take on one thread of the fused engine.
struct LayersRequest {
  std::string arch;
  std::int64_t batch_size = 128;  // images
  std::int64_t repeats = 5;       // forward passes
  std::string instruction_set = "auto", dtype = "fp32";
};

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

/// Throws UsageError and Error as make_network and arithmetic_of do.
LayerTimes time_layers(const LayersRequest& request);

}  // namespace lossatlas
