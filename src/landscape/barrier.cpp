#include "landscape/barrier.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "landscape/surface.h"

namespace lossatlas {

Barrier barrier_of(std::span<const double> t, std::span<const double> values, double first, double last) {
  const auto height_of = [](double value) {
    return std::isfinite(value) ? value : std::numeric_limits<double>::infinity();
  };
  Barrier barrier{first, last, height_of(first), 0, 0};
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
  const auto first = surface.x.index_of(0), last = surface.x.index_of(1);
  if (!is_way || !first || !last || surface.evaluated() < surface.size()) return nullptr;
  nlohmann::ordered_json all = nlohmann::ordered_json::object();
  const auto t = surface.x.coordinates();
  const auto add = [&](const std::string& split, const std::vector<double>& loss, const std::vector<double>& accuracy) {
    std::vector<double> error;
    for (const double percent : accuracy) error.push_back(100 - percent);
    all[split + "_loss"] = json_of(barrier_of(t, loss, loss[*first], loss[*last]));
    all[split + "_err"] = json_of(barrier_of(t, error, error[*first], error[*last]));
  };
  add(std::string(name_of(surface.split)), surface.loss, surface.accuracy);
  if (surface.has_both_splits()) add("test", surface.values_of("test_loss"), surface.values_of("test_acc"));
  return all;
}

}  // namespace lossatlas
