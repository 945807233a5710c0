#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "grid/axis.h"

namespace lossatlas {

/// D(h) = [L(h d) - 2 L(0) + L(-h d)] / h², L the mean loss and d a direction: the curvature along d at scale h. Kinks
/// of the loss within ±h count, which no derivative sees (docs/curvature.md).
struct ScaleCurvature {
  double step = kNotKnown;            // h, in multiples of d
  double value = kNotKnown;           // NaN if a loss is not finite
  double standard_error = kNotKnown;  // as an estimate of the whole split's: from the differences of single samples
};

/// dᵀHd, H the Hessian of the mean loss by automatic differentiation.
struct AutodiffCurvature {
  double value = kNotKnown;
  double standard_error = kNotKnown;  // the same, from batch means
};

/// The curvature of the loss at the origin along one axis.
struct AxisCurvature {
  std::string axis;                     // "x"
  double length = kNotKnown;            // ‖d‖
  std::int64_t samples = 0;             // that both numbers are over: the first of the surface's
  std::array<ScaleCurvature, 3> scale;  // at h/2, h and 2h
  std::optional<AutodiffCurvature> autodiff;

  const ScaleCurvature& at_step() const { return scale[1]; }
};

/// /lossatlas@axis_curvatures (docs/file-format.md).
nlohmann::json axis_curvatures_json(const std::vector<AxisCurvature>& axes);
/// The opposite; what is missing or of another type is not known.
std::vector<AxisCurvature> axis_curvatures_from(const nlohmann::json& list);

}  // namespace lossatlas
