#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/split.h"
#include "surface/pca.h"

namespace lossatlas {

class Hdf5Reader;
class Hdf5Writer;
struct Products;

/// How checkpoints are projected into a plane.
enum class ProjectionRule {
  cos,    // x_k = ⟨w, d_k⟩ / ‖d_k‖²
  lstsq,  // the x that minimize ‖w - Σ x_k d_k‖: the same where the directions are orthogonal
};

std::string_view name_of(ProjectionRule rule);
/// Throws UsageError for a name that is not "cos" or "lstsq".
ProjectionRule projection_rule_of(const std::string& name);

/// Where checkpoints are drawn in a plane, one entry each.
struct Projected {
  std::vector<double> x, y;      // in multiples of the directions
  std::vector<double> distance;  // of the checkpoint from that point
  std::vector<double> length;    // of the checkpoint from the origin
};

/// From the products of the checkpoints' differences to the origin with the two directions. Throws Error if a
/// direction is zero or, for lstsq, both are parallel.
Projected project(const Products& products, ProjectionRule rule);

/// The path of one run through a plane, the origin of which is the first run's final checkpoint. Lists have one entry a
/// checkpoint, in the order of the path; the last is the run's final checkpoint.
struct RunPath {
  std::string name;              // of its group in the file
  std::string label, optimizer;  // for people; "" if the optimizer is not known
  std::vector<std::string> file;
  std::vector<std::int64_t> epoch;
  std::string unit = "epoch";  // of the numbers `epoch`, or "step"
  Projected points;
  /// By dataset: the checkpoint's own values and the plane's at its point (path_values). NaN where not computed.
  std::vector<std::pair<std::string, std::vector<double>>> values;

  std::size_t size() const { return file.size(); }
  /// The values of a dataset; null if there are none.
  const std::vector<double>* find(std::string_view dataset) const;
};

/// Paths of optimizers on a plane, and what the PCA said where the plane is of one (without combinations, once read).
struct Trajectory {
  std::vector<RunPath> runs;
  Pca pca;
};

/// Names of a checkpoint's own values on one split, "train_loss" and "train_acc", and of the plane's beside them:
/// "plane_loss" and "plane_acc", of the second of both splits "plane_test_loss" and "plane_test_acc".
struct PathValues {
  std::string loss, accuracy, plane_loss, plane_accuracy;
};
PathValues path_values(Split split, bool is_second = false);

/// Under /lossatlas/runs and /lossatlas/pca, as docs/file-format.md describes it. Writes nothing if there is none.
void write_trajectory(Hdf5Writer& writer, const Trajectory& trajectory);
/// Throws Error for datasets of differing lengths.
Trajectory read_trajectory(const Hdf5Reader& reader);

/// How far a path lies from what is shown.
struct PathSummary {
  double longest = 0;                                    // way of a checkpoint to the origin
  double median_distance = 0, largest_distance = 0;      // out of the plane, the origin not counted
  double median_difference = 0, largest_difference = 0;  // |plane's loss - own|; NaN where no finite one is known
  std::size_t compared = 0;                              // checkpoints where both losses are finite
  std::size_t farthest = 0, most_different = 0;          // which checkpoint
};
PathSummary summarize(const RunPath& path, Split split);

}  // namespace lossatlas
