#include "surface/barrier.h"

#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "surface/surface.h"

namespace lossatlas {

Barrier barrier_of(std::span<const double> t, std::span<const double> values, double first, double last) {
  const auto height_of = [](double value) {
    return std::isfinite(value) ? value : std::numeric_limits<double>::infinity();
  };
  Barrier barrier{.first = first, .last = last, .highest = height_of(first)};
  const auto look = [&](double at, double value) {
    if (height_of(value) > barrier.highest) barrier.highest = height_of(value), barrier.at = at;
  };
  look(1, last);
  for (std::size_t i = 0; i < t.size(); ++i) {
    if (t[i] > 0 && t[i] < 1) look(t[i], values[i]);
  }
  barrier.height = barrier.highest - (first + last) / 2;
  return barrier;
}

nlohmann::ordered_json json_of(const Barrier& barrier) {
  return {{"ends", {barrier.first, barrier.last}},
          {"highest", barrier.highest},
          {"at", barrier.at},
          {"barrier", barrier.height}};
}

nlohmann::ordered_json interpolation_json(const Surface& surface) {
  const bool is_way = surface.is_line() && surface.is_single() && surface.points.size() == 2;
  if (!is_way || surface.evaluated() < surface.size()) return nullptr;
  const Axis& axis = surface.grid.axes[0];
  const std::array at_ends{axis.index_of(0), axis.index_of(1)};
  const PathValues first = path_values(surface.split());
  for (std::size_t end = 0; end < 2; ++end) {
    if (!at_ends[end] && !surface.points[end].is_known(first.plane_loss, first.plane_accuracy)) return nullptr;
  }
  nlohmann::ordered_json all = nlohmann::ordered_json::object();
  const auto t = axis.coordinates();
  // `name`: of the values at an end that is not among the points.
  const auto barrier = [&](std::vector<double> values, const std::string& name, bool is_error) {
    std::array<double, 2> ends{};
    for (std::size_t end = 0; end < 2; ++end) {
      ends[end] = at_ends[end] ? values[*at_ends[end]] : surface.points[end].value(name);
    }
    if (is_error) {
      for (double& value : values) value = 100 - value;
      for (double& value : ends) value = 100 - value;
    }
    return json_of(barrier_of(t, values, ends[0], ends[1]));
  };
  for (std::size_t s = 0; s < surface.samples.size(); ++s) {
    const PathValues names = path_values(surface.samples[s].split, s > 0);
    const std::string split(name_of(surface.samples[s].split));
    all[split + "_loss"] = barrier(surface.values_of(names.loss), names.plane_loss, false);
    const Field* accuracies = surface.find(names.accuracy);
    if (accuracies) all[split + "_err"] = barrier(accuracies->values, names.plane_accuracy, true);
  }
  return all;
}

}  // namespace lossatlas
