#pragma once

#include <memory>

#include "evaluation/evaluator.h"
#include "fused/plan.h"

namespace lossatlas {

/// The graph of the network for the fused evaluator, checked: its logits agree with LibTorch's on three images.
/// Throws CannotLower where the network cannot be lowered, or does not agree.
std::shared_ptr<const Graph> make_fused_graph(const NetworkSpec& network);

/// Pointers to the floats of a state, by TensorIndex; they live as long as the state.
Tensors tensors_of(const NetworkState& state);

/// Runs a fused graph on the CPU with kernels of our own, one thread, float32.
std::unique_ptr<Evaluator> make_fused_evaluator(const EngineOptions& options, std::shared_ptr<const Graph> graph,
                                                ImageSets images);

}  // namespace lossatlas
