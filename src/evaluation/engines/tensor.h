#pragma once

#include <memory>

#include "evaluation/evaluator.h"

namespace lossatlas {

/// Runs a fused graph on a CUDA device through cuDNN.
std::unique_ptr<Evaluator> make_tensor_evaluator(const EngineOptions& options, std::shared_ptr<const Graph> graph,
                                                 ImageSets images);

}  // namespace lossatlas
