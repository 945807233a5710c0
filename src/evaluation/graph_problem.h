#pragma once

#include <cstdint>
#include <memory>

#include "data/split.h"
#include "evaluation/problem.h"
#include "programs/problem_file.h"

namespace lossatlas {

/// The network and the loss of a problem file, whose state are the parameters that move and the buffers of its
/// state_dict. Its programs' outputs are [N, outputs of the file], in double.
std::shared_ptr<const Problem> make_problem(std::shared_ptr<const ProblemFile> file);

/// The same network with batch norm in training mode, which changes the buffers; everything else in evaluation mode.
std::unique_ptr<Program> make_training_program(std::shared_ptr<const ProblemFile> file, at::Device device);

/// That state as it is in the file, with the tensors that do not move as `fixed`: copies of nothing.
NetworkTensors state_of(const ProblemFile& file);

/// What batches are padded to: the only size that the graph takes, or the least.
std::int64_t least_batch(const ProblemFile& file);

/// The samples of a split, mapped from the file; on another device, copies. Throws Error if it has no such split.
std::shared_ptr<const SampleSource> samples_of(const ProblemFile& file, Split split, at::Device device);

}  // namespace lossatlas
