#pragma once

#include <memory>

#include "evaluation/evaluator.h"

namespace lossatlas {

/// Runs the network through LibTorch as it stands, operator by operator, on any device.
std::unique_ptr<Evaluator> make_eager_evaluator(const EngineOptions& options, ImageSets images);

/// Whether the outputs of a TorchScript network are no logits: in each row of a few images they are 0 or more and sum
/// to 1, as after a softmax.
bool gives_probabilities(const NetworkSpec& network, std::shared_ptr<const DataSet> images);

}  // namespace lossatlas
