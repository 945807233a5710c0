#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "landscape/surface.h"

namespace lossatlas {

/// How far a value rises on the way from one end to the other.
struct Barrier {
  double from = 0, to = 0;     // at the ends
  double highest = 0, at = 0;  // the highest on the way, ends included, and its t; NaN is higher than all others

  /// The highest minus the mean of the ends: the interpolation instability of Frankle et al. 2020 (arXiv 1912.05671,
  /// section 2), where the way is the straight line.
  double height() const { return highest - (from + to) / 2; }
};

/// `values` at ascending `t`, from the first end to the second; as many of each, two or more.
Barrier barrier_of(std::span<const double> t, std::span<const double> values);

/// A curve between two points in parameter space, and the straight line between them.
enum class Way { curve = 0, line = 1 };

/// Loss and accuracy along a curve and, at the same t, along the straight line between its ends.
struct Path {
  Surface values;            // x: t in 0 … 1; row 0 is the curve, row 1 the line; of both splits
  double curve_length = 0;   // Euclidean, over all parameters
  double line_length = 0;
  std::vector<Measure> training = {};  // columns of the curve's training, one value an epoch
};

/// Barriers of {train, test} × {loss, error in percent}, by way:
/// {"curve": {"train_loss": {"ends", "highest", "at", "barrier"}, "train_err": …}, "linear": …, "lengths"}.
nlohmann::ordered_json summary_json(const Path& path);

/// Writes the file whole (docs/file-format.md); with the summary where no point is missing.
void write_path(const std::filesystem::path& file, const Path& path);

}  // namespace lossatlas
