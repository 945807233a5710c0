#pragma once

#include <nlohmann/json.hpp>

#include "surface/surface.h"

namespace lossatlas {

/// Barriers of a curve with its chord, of loss and error (percent) of each split it has: {"curve": {"train_loss":
/// {"ends": [a, b], "highest", "at", "barrier"}, "train_err": …}, "linear": the same} (barrier.h).
nlohmann::ordered_json curve_summary(const Surface& curve);

}  // namespace lossatlas
