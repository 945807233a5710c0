#pragma once

#include <memory>

#include "evaluation/objective.h"
#include "evaluation/program.h"

namespace lossatlas {

/// Runs a program through LibTorch, operator by operator, on any device, with any criterion and samples.
std::unique_ptr<Objective> make_eager_objective(std::unique_ptr<Program> program,
                                                std::shared_ptr<const Criterion> criterion,
                                                std::shared_ptr<const SampleSource> samples, std::int64_t batch_size);

}  // namespace lossatlas
