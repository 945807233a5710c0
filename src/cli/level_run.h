#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/stopwatch.h"
#include "cli/report.h"
#include "cli/surface_run.h"
#include "landscape/journal.h"
#include "landscape/levels.h"

namespace lossatlas {

/// Fills a surface in levels: plans, evaluates, and looks again, until the goal is reached. What earlier runs evaluated
/// is in the job's surface, and is not evaluated again: the plan asks for the same points in the same order.
class LevelRun {
 public:
  /// `computed`: evaluations that this process has in the journal.
  LevelRun(SurfaceJob& job, Journal& journal, Report& report, const std::atomic<bool>& stop, std::size_t computed);

  /// The exit status. Throws Error where a file cannot be written.
  int run();

 private:
  bool evaluate(std::span<const LevelRequest> requests);
  std::vector<std::size_t> missing_of(std::span<const LevelRequest> requests) const;
  std::vector<Evaluation> values_of(const LevelRequest& request) const;
  void show(const SweepProgress& now, std::optional<double> error);
  void announce();
  /// Writes the file, and returns what it shows: what the levels add up to.
  Surface save();
  int end(bool is_done);
  double images_per_second() const;
  double all_evaluations() const;

  SurfaceJob& job_;
  Surface& surface_;
  Journal& journal_;
  Report& report_;
  const std::atomic<bool>& stop_;
  LevelPlan plan_;
  std::size_t computed_;
  double seconds_before_;
  std::int64_t images_ = 0;  // evaluated by this run
  Stopwatch watch_;
};

}  // namespace lossatlas
