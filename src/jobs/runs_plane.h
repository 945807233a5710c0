#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "checkpoint/index.h"
#include "jobs/planes.h"
#include "jobs/run_files.h"
#include "surface/trajectory.h"

namespace lossatlas {

/// Runs whose checkpoints are read where they lie.
struct IndexedRuns {
  std::vector<RunFiles> files;
  std::vector<std::vector<CheckpointIndex>> checkpoints;  // [run][checkpoint]
  /// What each checkpoint says, else its name (epochs_of_names), else its place in the run, counted from 0.
  std::vector<std::vector<std::int64_t>> epochs;
  std::vector<std::string> units;  // of each run's: "epoch" or "step"
  std::vector<std::string> notes;  // on runs whose epochs are places

  std::size_t count() const;
  /// All checkpoints, run by run.
  std::vector<const CheckpointIndex*> all() const;
};

/// Throws Error naming a checkpoint that cannot be read or is not of the inputs' network.
IndexedRuns index_runs(const std::vector<RunFiles>& runs, const LandscapeInputs& inputs);

/// The plane of the two first principal components of all checkpoints, through the inputs' origin, with the paths in
/// it. Throws Error if they are fewer than three, or all equal, or on one line.
ChosenPlane plane_of_pca(const IndexedRuns& runs, const LandscapeInputs& inputs, DirectionType type,
                         ProjectionRule rule, const SumOptions& sums);

/// The paths in the plane of given directions.
Trajectory paths_along(const std::vector<Direction>& directions, const IndexedRuns& runs, const LandscapeInputs& inputs,
                       ProjectionRule rule, const SumOptions& sums);

/// Of each run.
std::vector<RunIdentity> identities_of(const IndexedRuns& runs);

/// An axis that holds 0 and the paths, with a margin of a fifth of their extent on either side; the ends are rounded to
/// three digits of the extent. `coordinate`: Projected::x or Projected::y.
Axis axis_around(const Trajectory& trajectory, std::vector<double> Projected::*coordinate, std::size_t count);

}  // namespace lossatlas
