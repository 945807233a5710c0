#pragma once

#include <string>

namespace lossatlas {

class ScriptNetwork;

/// What a network does in evaluation mode that makes its loss depend on more than parameters and images: it was traced
/// in training mode.
struct TrainingMode {
  std::string random;                  // the first operator that draws random numbers, "aten::dropout"; "": none does
  bool uses_batch_statistics = false;  // a batch norm takes the mean and variance of its batch
};

TrainingMode training_mode_of(const ScriptNetwork& network);

}  // namespace lossatlas
