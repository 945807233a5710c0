#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "checkpoint/index.h"
#include "evaluation/evaluator.h"
#include "landscape/plane.h"
#include "landscape/work.h"
#include "surface/surface.h"

namespace lossatlas {

struct PathSweepOptions {
  int threads = 1;                                  // one evaluator each; 1 on a CUDA device
  const std::atomic<bool>* stop = nullptr;          // when true: finish what is under way and return
  Ranks* ranks = nullptr;                           // other processes that take part; null: none
  std::function<void(const std::string&)> on_note;  // a line on them
  /// After each evaluation, with how many are done of those to do; one call at a time.
  std::function<void(std::size_t done, std::size_t total, const Evaluation&)> on_value;
};

/// Checkpoints by run and place.
using IndexedPaths = std::vector<std::vector<const CheckpointIndex*>>;

/// The request of sweep_paths to other ranks.
inline constexpr auto kPathsRequest = R"({"what":"paths"})";

/// The evaluations that a trajectory takes: two of each checkpoint, its own, and that of its point of the plane. All
/// arguments outlive it.
Work path_work(const Plane& plane, const Engine& engine, const IndexedPaths& runs, const Trajectory& trajectory,
               int threads);

/// Fills in what the surface's trajectory lacks at each checkpoint: its own loss and accuracy, with its own batch-norm
/// statistics, and the plane's at its point, both as the surface's points are evaluated. `runs`: the checkpoints, as in
/// surface.trajectory. The bits do not depend on the number of threads. False if it was stopped.
bool sweep_paths(const Plane& plane, const Engine& engine, const IndexedPaths& runs, Surface& surface,
                 const PathSweepOptions& options);

/// Values that sweep_paths would compute.
std::size_t missing_path_values(const Surface& surface);

}  // namespace lossatlas
