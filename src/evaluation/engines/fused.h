#pragma once

#include <memory>

#include "base/instruction_set.h"
#include "evaluation/objective.h"
#include "fused/plan.h"
#include "models/spec.h"

namespace lossatlas {

/// The graph of the network for the fused engine, checked: its logits agree with LibTorch's on three images.
/// Throws CannotLower where the network cannot be lowered, or does not agree.
std::shared_ptr<const Graph> make_fused_graph(const NetworkSpec& network);

/// Pointers to the floats of a state, by TensorIndex; they live as long as the state.
Tensors tensors_of(const NetworkTensors& state);

struct FusedOptions {
  InstructionSet instruction_set = best_instruction_set();  // on the CPU
  Precision precision = Precision::fp32;
  std::int64_t batch_size = 128;
};

/// Runs a fused graph on the CPU with kernels of our own, one thread, float32. Samples have images as their input, of
/// the shape that the graph was made for.
std::unique_ptr<Objective> make_fused_objective(std::shared_ptr<const Graph> graph, const FusedOptions& options,
                                                std::shared_ptr<const Criterion> criterion,
                                                std::shared_ptr<const SampleSource> samples);

}  // namespace lossatlas
