#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "surface/curvature.h"
#include "surface/surface.h"

namespace lossatlas {

/// A loss and its place.
struct Located {
  double loss = kNotKnown;
  std::vector<double> at = {};  // coordinates
};

/// Two neighbours along an axis; the loss rises from the first to the second.
struct Rise {
  Located from, to;
  double size() const { return to.loss - from.loss; }
};

/// Simple numbers of one surface, in the units of its axes. Points that are missing are passed over; a loss that was
/// evaluated and is not finite counts as higher than all others. NaN where nothing can be said.
struct Summary {
  std::vector<std::string> axes;  // their names
  /// The origin's point, else the one nearest to it in index steps.
  Located centre;
  double centre_accuracy = kNotKnown;  // percent
  bool is_centre_exact = false;        // the origin is on the grid
  bool is_centre_missing = false;      // nothing was evaluated there

  Located lowest, highest;  // of the finite losses; the first of equals

  double width = kNotKnown;  // of the region around the centre with at most twice its loss (basin.h)
  bool is_width_bound = false;

  /// The largest difference of finite losses between neighbours along an axis.
  Rise steepest;

  /// Points, or plateaus of equal losses, inside the grid whose 3^N - 1 neighbours are all higher. Plateaus count once;
  /// what touches the border or a missing point does not.
  std::size_t minima = 0;
  /// Of a surface with half-widths (in levels): those that lie deeper below all around them than their own half-width.
  std::optional<std::size_t> clear_minima;

  Curvature curvature;
  std::size_t points = 0, evaluated = 0, reconstructed = 0, not_finite = 0;
  double standard_error = kNotKnown;  // median of the finite standard errors of the loss
  std::vector<std::string> hints;     // short sentences on what makes the picture doubtful

  bool is_complete() const { return evaluated + reconstructed == points; }
};

/// Of a surface of one repeat. Hints:
///  * the loss at the centre is not finite; then none about the range;
///  * the range is too small: all losses finite, highest − lowest < 10 % of the centre's loss, and < 0.05;
///  * the range is too large: more than half of the points are not finite, or more than three quarters are far out: not
///    finite, above 100 times the centre's loss and above 1, or, for cross-entropy, above log(classes), the loss of a
///    uniform guess, where the centre is below 90 % of it;
///  * recalibration_advice instead, if there is one; there one point that is not finite is enough;
///  * the centre is not the lowest point: lower by more than 10 % of its loss, 0.01 and twice both standard errors
///    (not where checkpoints are marked);
///  * all losses are finite, and their median standard error is larger than highest − lowest.
/// Those about the range name another to try (range_advice.h), and require at least nine points; none is given before
/// all points are there.
Summary summarize(const Surface& surface);

/// Whether the loss at the origin is finite, as far as it is known: on the grid, or by the centre check.
bool is_centre_finite(const Surface& surface);

/// "--bn recalibrate" between networks whose batch-norm statistics are stored ones: between them they are nobody's.
/// Else "".
std::string recalibration_advice(const Surface& surface);

/// "(0.5, -0.25)", of one axis "0.5".
std::string place_text(const std::vector<double>& at, int digits);

/// As the file and `info --json` hold it.
nlohmann::ordered_json json_of(const Summary& summary);

/// Of any surface; of a curve its barriers (curve_summary.h); for several repeats or lines the numbers of their mean,
/// and under "repeats" the list of each one's. Of a line between checkpoints also "interpolation" (interpolation_json);
/// "axis_curvatures" (axis_curvatures_json) if they are known.
nlohmann::ordered_json summary_json(const Surface& surface);

}  // namespace lossatlas
