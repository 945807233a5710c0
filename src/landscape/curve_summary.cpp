#include "landscape/curve_summary.h"

#include <string>
#include <vector>

#include "landscape/barrier.h"

namespace lossatlas {
namespace {

using nlohmann::ordered_json;

ordered_json summary_of(const Surface& way) {
  const auto t = way.x.coordinates();
  ordered_json summary;
  const auto add = [&](const std::string& split, std::string_view value, const std::vector<double>& values) {
    if (value == "loss") {
      summary[split + "_loss"] = json_of(barrier_of(t, values, values.front(), values.back()));
    } else {
      std::vector<double> errors;
      for (const double accuracy : values) errors.push_back(100 - accuracy);
      summary[split + "_err"] = json_of(barrier_of(t, errors, errors.front(), errors.back()));
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

ordered_json curve_summary(const Surface& curve) {
  return {{"curve", summary_of(repeat_of(curve, kCurveLayer))}, {"linear", summary_of(repeat_of(curve, kLineLayer))}};
}

}  // namespace lossatlas
