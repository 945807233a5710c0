#pragma once

#include <cstdint>
#include <string_view>

namespace lossatlas {

/// What is under way, for whoever draws it.
struct TrainingProgress {
  std::int64_t epoch = 0, epochs = 0;  // the epoch being trained, from 1
  std::int64_t step = 0, steps = 0;    // minibatches of it that are done
  double loss = 0, accuracy = 0;       // means over them; accuracy in percent, NaN if it is not measured
  std::string_view sample = "image";   // what minibatches are of
  double images_per_second = 0;
  double seconds_left = 0;  // of the whole run, tests not counted
};

}  // namespace lossatlas
