#include "surface/curve_summary.h"

#include <string>
#include <vector>

#include "surface/barrier.h"

namespace lossatlas {
namespace {

using nlohmann::ordered_json;

ordered_json summary_of(const Surface& way) {
  const auto t = way.grid.axes[0].coordinates();
  ordered_json summary;
  for (const Samples& samples : way.samples) {
    const auto& loss = way.values_of(measure_name("loss", samples.split));
    const std::string split(name_of(samples.split));
    summary[split + "_loss"] = json_of(barrier_of(t, loss, loss.front(), loss.back()));
    const Field* accuracies = way.find(measure_name("accuracy", samples.split));
    if (!accuracies) continue;
    std::vector<double> errors;
    for (const double accuracy : accuracies->values) errors.push_back(100 - accuracy);
    summary[split + "_err"] = json_of(barrier_of(t, errors, errors.front(), errors.back()));
  }
  return summary;
}

}  // namespace

ordered_json curve_summary(const Surface& curve) {
  return {{"curve", summary_of(member_of(curve, kCurveMember))},
          {"linear", summary_of(member_of(curve, kChordMember))}};
}

}  // namespace lossatlas
