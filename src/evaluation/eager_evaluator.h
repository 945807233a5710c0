#pragma once

#include <memory>

#include "evaluation/evaluator.h"

namespace lossatlas {

/// Runs the network through LibTorch as it stands, operator by operator, on any device.
std::unique_ptr<Evaluator> make_eager_evaluator(const EngineOptions& options, ImageSets images);

}  // namespace lossatlas
