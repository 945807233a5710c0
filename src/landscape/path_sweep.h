#pragma once

#include <atomic>
#include <functional>
#include <vector>

#include "checkpoint/index.h"
#include "evaluation/evaluator.h"
#include "landscape/plane.h"
#include "surface/surface.h"

namespace lossatlas {

struct PathSweepOptions {
  int threads = 1;                          // one evaluator each; 1 on a CUDA device
  const std::atomic<bool>* stop = nullptr;  // when true: finish what is under way and return
  /// After each evaluation, with how many are done of those to do; one call at a time.
  std::function<void(std::size_t done, std::size_t total, const Evaluation&)> on_value;
};

/// Fills in what the surface's trajectory lacks at each checkpoint: its own loss and accuracy, with its own batch-norm
/// statistics, and the plane's at its point, both as the surface's points are evaluated. `runs`: the checkpoints, as in
/// surface.trajectory. The bits do not depend on the number of threads. False if it was stopped.
bool sweep_paths(const Plane& plane, const Engine& engine, const std::vector<std::vector<const CheckpointIndex*>>& runs,
                 Surface& surface, const PathSweepOptions& options);

/// Values that sweep_paths would compute.
std::size_t missing_path_values(const Surface& surface);

}  // namespace lossatlas
