#pragma once

#include <nlohmann/json.hpp>

#include "landscape/surface.h"

namespace lossatlas {

/// Layers of a surface of kind curve: the values along the curve, and at the same t along the straight line.
inline constexpr std::size_t kCurveLayer = 0, kLineLayer = 1;

/// Barriers of such a surface, of loss and error (percent) of each split it has: {"curve": {"train_loss": {"ends": [a,
/// b], "highest", "at", "barrier"}, "train_err": …}, "linear": the same} (barrier.h).
nlohmann::ordered_json curve_summary(const Surface& curve);

}  // namespace lossatlas
