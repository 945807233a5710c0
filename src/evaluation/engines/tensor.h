#pragma once

#include <memory>

#include "evaluation/engines/fused.h"

namespace lossatlas {

/// Runs a fused graph on a CUDA device through cuDNN.
std::unique_ptr<Objective> make_tensor_objective(const FusedPart& part, const FusedOptions& options, at::Device device,
                                                 std::shared_ptr<const SampleSource> samples);

}  // namespace lossatlas
