#include "surface/range_advice.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace lossatlas {
namespace {

bool is_free(const Surface& surface) {
  const auto is_around_zero = [](const Axis& axis) { return axis.points == 1 || (axis.low < 0 && axis.high > 0); };
  const auto& axes = surface.grid.axes;
  return !surface.is_curve() && surface.points.empty() && surface.trajectory.runs.empty() &&
         std::all_of(axes.begin(), axes.end(), is_around_zero);
}

/// The option that sets the range of an axis, up to the range: "--x ".
std::string option_of(std::size_t axis) {
  const std::string name = axis_name(axis);
  return name.size() == 1 ? "--" + name + " " : fmt::format("--axis {}=", axis + 1);
}

/// The further end of the range, as seen from 0.
double reach(const Axis& axis) { return std::max(std::abs(axis.low), std::abs(axis.high)); }

/// To so many significant digits.
double rounded(double value, int digits, double (*round)(double)) {
  const double unit = std::pow(10, std::floor(std::log10(value)) - digits + 1);
  constexpr double kNoise = 1e-9;  // 0.6 / 0.01 is a little less than 60
  return round(value / unit + kNoise) * unit;
}

/// `half`: of an axis, from 0 to either end.
template <class Half>
std::string text_of(const Surface& surface, const Half& half) {
  std::string text;
  for (std::size_t k = 0; k < surface.grid.dimensions(); ++k) {
    const Axis& axis = surface.grid.axes[k];
    if (axis.points < 2) continue;
    text += fmt::format("{}{}-{:.6g}:{:.6g}", text.empty() ? "" : " ", option_of(k), half(axis), half(axis));
  }
  return text;
}

/// Between two points the width was found on a line from one loss to the other; where it is less than a step, a
/// parabola through them is nearer to the truth.
double basin_width(double width, double step) {
  return width < step ? std::max(std::sqrt(width * step), step / 10) : width;
}

/// The part of the range, as seen from 0, within which all losses are finite; nothing if they all are.
std::optional<double> finite_part(const Surface& surface) {
  const auto part_of = [&](std::size_t index) {
    const auto indices = surface.grid.indices_of(index % surface.grid.size());
    double part = 0;
    for (std::size_t k = 0; k < indices.size(); ++k) {
      const Axis& axis = surface.grid.axes[k];
      if (axis.points > 1) part = std::max(part, std::abs(axis.at(indices[k])) / reach(axis));
    }
    return part;
  };
  std::optional<double> nearest;
  for (std::size_t i = 0; i < surface.size(); ++i) {
    if (surface.state[i] != PointState::evaluated || std::isfinite(surface.loss()[i])) continue;
    nearest = std::min(part_of(i), nearest.value_or(1));
  }
  if (!nearest) return std::nullopt;
  double within = 0;
  for (std::size_t i = 0; i < surface.grid.size(); ++i) {
    if (part_of(i) < *nearest) within = std::max(within, part_of(i));
  }
  return within > 0 ? within : *nearest / 2;
}

}  // namespace

std::string finite_range(const Surface& surface) {
  const auto part = finite_part(surface);
  if (!part || !(*part > 0) || !is_free(surface)) return "";
  return text_of(surface, [&](const Axis& axis) { return rounded(*part * reach(axis), 2, std::floor); });
}

std::string smaller_range(const Surface& surface, const Summary& summary) {
  if (!is_free(surface)) return "";
  const double most = std::min(0.5, finite_part(surface).value_or(1));
  return text_of(surface, [&](const Axis& axis) {
    const double step = (axis.high - axis.low) / static_cast<double>(axis.points - 1);
    const double width = std::isnan(summary.width) ? reach(axis) : basin_width(summary.width, step);
    return rounded(std::min(width, most * reach(axis)), 1, std::round);
  });
}

std::string wider_range(const Surface& surface, const Summary& summary) {
  if (!is_free(surface)) return "";
  const double span = summary.highest.loss - summary.lowest.loss;
  const double factor = std::clamp(std::sqrt(std::max(std::abs(summary.centre.loss), 0.1) / span), 2.0, 10.0);
  return text_of(surface, [&](const Axis& axis) { return rounded(factor * reach(axis), 1, std::round); });
}

}  // namespace lossatlas
