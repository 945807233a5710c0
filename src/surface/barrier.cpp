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
  const bool is_way = surface.kind == SurfaceKind::line && surface.points.size() == 2 && surface.layers == 1;
  if (!is_way || surface.evaluated() < surface.size()) return nullptr;
  const std::array at_ends{surface.x.index_of(0), surface.x.index_of(1)};
  for (std::size_t end = 0; end < 2; ++end) {
    if (!at_ends[end] && std::isnan(surface.points[end].plane_accuracy)) return nullptr;
  }
  nlohmann::ordered_json all = nlohmann::ordered_json::object();
  const auto t = surface.x.coordinates();
  const auto barrier = [&](const std::vector<double>& values, const std::array<double, 2>& beside) {
    const auto value_at = [&](std::size_t end) { return at_ends[end] ? values[*at_ends[end]] : beside[end]; };
    return json_of(barrier_of(t, values, value_at(0), value_at(1)));
  };
  const auto add = [&](const std::string& split, const std::vector<double>& loss, double MarkedPoint::*end_loss,
                       const std::vector<double>& accuracy, double MarkedPoint::*end_accuracy) {
    const MarkedPoint &a = surface.points[0], &b = surface.points[1];
    std::vector<double> error;
    for (const double percent : accuracy) error.push_back(100 - percent);
    all[split + "_loss"] = barrier(loss, {a.*end_loss, b.*end_loss});
    all[split + "_err"] = barrier(error, {100 - a.*end_accuracy, 100 - b.*end_accuracy});
  };
  add(std::string(name_of(surface.split)), surface.loss, &MarkedPoint::plane_loss, surface.accuracy,
      &MarkedPoint::plane_accuracy);
  if (surface.has_both_splits()) {
    add("test", surface.values_of("test_loss"), &MarkedPoint::plane_test_loss, surface.values_of("test_acc"),
        &MarkedPoint::plane_test_accuracy);
  }
  return all;
}

}  // namespace lossatlas
