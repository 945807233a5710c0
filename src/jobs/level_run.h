#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/stopwatch.h"
#include "jobs/batch_note.h"
#include "jobs/observer.h"
#include "jobs/surface_run.h"
#include "landscape/sweep.h"
#include "levels/balance.h"
#include "levels/levels.h"
#include "surface/journal.h"

namespace lossatlas {

/// The job's engine on its images in the order of the surface's samples. `order_of_engine`: that of the engine. Throws
/// Error if they are not the same samples.
Engine engine_in_order(const SurfaceJob& job, const std::vector<std::int64_t>& order_of_engine);

/// How a surface in levels continues.
LevelPlan level_plan(const Surface& surface, const LevelGoal& goal);

/// Fills a surface in levels: looks at a few points image by image, balances the subsets by that, then plans,
/// evaluates, and looks again, until the goal is reached. What earlier runs evaluated is in the job's surface, and is
/// not evaluated again: the plan asks for the same points in the same order.
class LevelRun {
 public:
  /// The order of the images in the job's engine, `order_of_engine`, is that of the surface's samples, or was before
  /// subsets were balanced. Throws Error if it can have been neither.
  LevelRun(SurfaceJob& job, const std::vector<std::int64_t>& order_of_engine, Journal& journal, Observer& observer);

  /// What is left to do when the goal is reached, on the engine of the surface's order. `cost`: sample evaluations of
  /// the surface. False if it was stopped.
  using Finish = std::function<bool(const Engine& engine, std::int64_t cost)>;

  /// False if it was stopped. `on_pilot`: when all images were seen at the pilot's points. Throws Error if a file
  /// cannot be written.
  bool run(const std::function<void()>& on_pilot, const Finish& finish);

  /// Values that this run evaluated.
  std::size_t computed() const { return computed_; }

 private:
  bool evaluate_pilot(std::span<const LevelRequest> requests);
  void balance();
  void take_pilot(std::span<const LevelRequest> requests);
  void state_error(std::size_t level, std::span<const double> losses, Evaluation& value) const;
  void record(std::size_t index, const Evaluation& evaluation);
  bool evaluate(std::span<const LevelRequest> requests);
  SweepOptions options_for(const std::vector<std::size_t>& points);
  std::vector<std::size_t> missing_of(std::span<const LevelRequest> requests) const;
  std::vector<Evaluation> values_of(const LevelRequest& request) const;
  void show(const SweepProgress& now, std::optional<double> error);
  void announce();
  /// Writes the file, and returns what it shows: what the levels add up to.
  Surface save();
  void end(bool is_done);
  std::int64_t cost() const;
  double images_per_second() const;
  double all_evaluations() const;

  SurfaceJob& job_;
  Surface& surface_;
  Levels& levels_;
  Engine engine_;  // on the images in the order of the surface's samples
  const bool has_accuracy_;
  const bool is_balanced_;                    // as earlier runs left it
  std::vector<std::int64_t> order_of_ranks_;  // of the samples on other ranks
  std::optional<BalancedError> error_;        // once the subsets are balanced
  Journal& journal_;
  Observer& observer_;
  const std::atomic<bool>& stop_;
  LevelPlan plan_;
  std::size_t computed_ = 0;
  double seconds_before_;
  std::int64_t images_ = 0;  // evaluated by this run
  BatchNote batch_note_{engine_, observer_};
  Stopwatch watch_;
};

}  // namespace lossatlas
