#pragma once

#include <nlohmann/json.hpp>
#include <span>

#include "landscape/surface.h"

namespace lossatlas {

/// How far a value rises on the way from one end to the other.
struct Barrier {
  double from = 0, to = 0;     // at the ends
  double highest = 0, at = 0;  // the highest on the way, ends included, and its t; NaN counts as higher than all others

  /// The highest minus the mean of the ends. On the straight line, of the error: the instability of Frankle et al. 2020
  /// (arXiv 1912.05671, section 2).
  double height() const { return highest - (from + to) / 2; }
};

/// `values` at ascending `t`, from the first end to the second; as many of each, one or more.
Barrier barrier_of(std::span<const double> t, std::span<const double> values);

/// Layers of a surface of kind path: the values along the curve, and at the same t along the straight line.
inline constexpr std::size_t kCurveLayer = 0, kLineLayer = 1;

/// Barriers of such a surface, of loss and error (percent) of each split it has: {"curve": {"train_loss": {"ends": [a, b],
/// "highest", "at", "barrier"}, "train_err": …}, "linear": the same}. null where a number is not finite.
nlohmann::ordered_json path_summary(const Surface& path);

}  // namespace lossatlas
