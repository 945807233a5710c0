#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/process.h"
#include "evaluation/evaluator.h"
#include "evaluation/loss_products.h"
#include "jobs/observer.h"
#include "jobs/outcome.h"
#include "landscape/plane.h"
#include "landscape/work.h"
#include "levels/levels.h"
#include "surface/surface.h"

namespace lossatlas {

/// The curvature at the centre along the directions of a surface.
struct AxisCurvatureTask {
  double step = 0;  // AxisSweepOptions::step
  /// dᵀHd along each direction over these samples; nothing if it was stopped. Null: not asked for.
  std::function<std::optional<std::vector<AutodiffCurvature>>(
      const Plane& plane, const std::shared_ptr<const SampleSource>& samples, const std::atomic<bool>& stop)>
      autodiff = nullptr;
};

/// The eigenvalues of the Hessian at each point of a plane.
struct EigenMapTask {
  std::size_t products = 0;     // at each point
  std::int64_t batch_size = 0;  // samples differentiated at a time
  int threads_each = 1;         // that products at a point can use, on the CPU
  /// Products at a point, on the engine's device; stop may end them.
  std::function<LossProducts(const NetworkState& point, const std::atomic<bool>* stop)> products_at;
};

/// A surface that is ready to be computed.
struct SurfaceJob {
  std::filesystem::path out;
  const Planes& planes;  // origin on the engine's device
  const Engine& engine;
  Surface surface;  // without points
  int threads = 1;
  bool resume = false;       // continue what is in `out`
  bool force = false;        // with it: though engine, instruction set, batch size or LibTorch differ
  std::string introduction;  // said when the work begins
  std::string again;         // Caller::again
  std::function<void(const Evaluation&)> judge_centre;  // looks at the loss at the origin
  /// The untouched checkpoint over the first images, through LibTorch.
  std::function<Evaluation(std::int64_t images)> evaluate_checkpoint;
  LevelGoal goal = {};                                   // of a surface in levels
  Ranks* ranks = nullptr;                                // Caller::ranks
  std::optional<AxisCurvatureTask> axes = std::nullopt;  // computed at the end, if there is one
  std::optional<EigenMapTask> maps = std::nullopt;       // the same
  std::function<Work()> paths = nullptr;                 // of a trajectory: what `mark` has other ranks evaluate
  /// Adds what belongs to the file besides the grid, before the sweep; what an earlier run added is there. May be null.
  std::function<void(Surface&, const std::atomic<bool>& stop)> mark = nullptr;
};

/// Computes the surface, or what is missing of it. Every finished point is on disk at once. Throws Error if it cannot
/// go on, which says what was kept.
Outcome run_surface(SurfaceJob job, Observer& observer);

/// The line for a stop that other ranks are told of: a launcher may not leave the time for another.
std::string stopping_text(const SurfaceJob& job);

/// S.h5.lock, held by the process that writes S.h5.
std::filesystem::path lock_of(const std::filesystem::path& surface);

/// Throws Error if the journal or the claims folder (left_claims.h) beside a surface belongs to somebody else. FileLock
/// looks after the lock.
void check_beside(const std::filesystem::path& surface);

/// The line for a second process on one file.
std::string busy_text(const std::filesystem::path& surface, const ProcessName& holder);

}  // namespace lossatlas
