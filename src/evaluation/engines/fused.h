#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/instruction_set.h"
#include "evaluation/objective.h"
#include "evaluation/problem.h"
#include "fused/plan.h"

namespace lossatlas {

/// The graph for the fused engine of a network that is then of no more use: its statistics are changed. Checked: its
/// logits agree with LibTorch's on three images [C, H, W]. Throws CannotLower if the network cannot be lowered, or
/// does not agree.
std::shared_ptr<const Graph> make_fused_graph(Network& network, const std::array<std::int64_t, 3>& input);

/// Pointers to the floats of a state and of what follows it in the graph, by TensorIndex; they live as long as these.
Tensors tensors_of(const NetworkTensors& state, const std::vector<NamedTensor>& fixed = {});

/// Moves batch-norm statistics off 0 and 1, where a fault in their folding would not show.
void disturb(const std::vector<NamedTensor>& buffers);

struct FusedOptions {
  InstructionSet instruction_set = best_instruction_set();  // on the CPU
  Precision precision = Precision::fp32;
  std::int64_t batch_size = 128;
};

/// Runs a fused graph on the CPU with kernels of our own, one thread, float32. Samples have images as their input, of
/// the shape that the graph was made for.
std::unique_ptr<Objective> make_fused_objective(const FusedPart& part, const FusedOptions& options,
                                                std::shared_ptr<const SampleSource> samples);

}  // namespace lossatlas
