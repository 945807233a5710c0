#include "surface/axis_curvature.h"

#include <algorithm>
#include <cmath>

namespace lossatlas {
namespace {

using nlohmann::json;

json number(double value) { return std::isfinite(value) ? json(value) : json(nullptr); }

double number_in(const json& object, const char* name) {
  const json value = object.is_object() ? object.value(name, json()) : json();
  return value.is_number() ? value.get<double>() : kNotKnown;
}

ScaleCurvature scale_from(const json& entry) {
  return {number_in(entry, "step"), number_in(entry, "value"), number_in(entry, "standard_error")};
}

}  // namespace

json axis_curvatures_json(const std::vector<AxisCurvature>& axes) {
  json list = json::array();
  for (const AxisCurvature& axis : axes) {
    json scale = json::array();
    for (const auto& [step, value, error] : axis.scale) {
      scale.push_back({{"step", number(step)}, {"value", number(value)}, {"standard_error", number(error)}});
    }
    json entry{{"axis", axis.axis},       {"direction_norm", number(axis.length)},
               {"samples", axis.samples}, {"step", number(axis.at_step().step)},
               {"scale", scale},          {"autodiff", nullptr}};
    if (axis.autodiff) {
      entry["autodiff"] = {{"value", number(axis.autodiff->value)},
                           {"standard_error", number(axis.autodiff->standard_error)}};
    }
    list.push_back(entry);
  }
  return list;
}

std::vector<AxisCurvature> axis_curvatures_from(const json& list) {
  std::vector<AxisCurvature> axes;
  if (!list.is_array()) return axes;
  for (const json& entry : list) {
    if (!entry.is_object() || !entry.contains("axis") || !entry["axis"].is_string()) continue;
    AxisCurvature axis{
        .axis = entry["axis"], .length = number_in(entry, "direction_norm"), .scale = {}, .autodiff = {}};
    const json samples = entry.value("samples", json()), scale = entry.value("scale", json());
    if (samples.is_number_integer()) axis.samples = samples.get<std::int64_t>();
    for (std::size_t i = 0; scale.is_array() && i < std::min(scale.size(), axis.scale.size()); ++i) {
      axis.scale[i] = scale_from(scale[i]);
    }
    if (const json autodiff = entry.value("autodiff", json()); autodiff.is_object()) {
      axis.autodiff = {number_in(autodiff, "value"), number_in(autodiff, "standard_error")};
    }
    axes.push_back(axis);
  }
  return axes;
}

}  // namespace lossatlas
