#include "landscape/path.h"

#include <cmath>
#include <string>
#include <vector>

namespace lossatlas {
namespace {

using nlohmann::ordered_json;

ordered_json json_of(const Barrier& barrier) {
  const auto number = [](double value) { return std::isfinite(value) ? ordered_json(value) : ordered_json(nullptr); };
  return {{"ends", {number(barrier.from), number(barrier.to)}},
          {"highest", number(barrier.highest)},
          {"at", barrier.at},
          {"barrier", number(barrier.height())}};
}

ordered_json summary_of(const Surface& way) {
  const auto t = way.x.coordinates();
  ordered_json summary;
  const auto add = [&](const std::string& split, std::string_view value, const std::vector<double>& values) {
    if (value == "loss") {
      summary[split + "_loss"] = json_of(barrier_of(t, values));
    } else {
      std::vector<double> errors;
      for (const double accuracy : values) errors.push_back(100 - accuracy);
      summary[split + "_err"] = json_of(barrier_of(t, errors));
    }
  };
  const std::string split(name_of(way.split));
  add(split, "loss", way.loss);
  add(split, "acc", way.accuracy);
  for (const auto& [name, values] : way.more) {
    if (name == "test_loss" || name == "test_acc") add("test", name.substr(5), values);
  }
  return summary;
}

}  // namespace

Barrier barrier_of(std::span<const double> t, std::span<const double> values) {
  Barrier barrier{values.front(), values.back(), values.front(), t.front()};
  for (std::size_t i = 1; i < values.size() && !std::isnan(barrier.highest); ++i) {
    if (values[i] <= barrier.highest) continue;
    barrier.highest = values[i];
    barrier.at = t[i];
  }
  return barrier;
}

ordered_json path_summary(const Surface& path) {
  return {{"curve", summary_of(repeat_of(path, kCurveLayer))}, {"linear", summary_of(repeat_of(path, kLineLayer))}};
}

}  // namespace lossatlas
