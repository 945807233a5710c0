#include "evaluation/loss.h"

#include "base/names.h"

namespace lossatlas {
namespace {

constexpr NameTable<LossFunction, 2> kLossNames{
    {{LossFunction::cross_entropy, "cross-entropy"}, {LossFunction::mse, "mse"}}};

}  // namespace

std::string_view name_of(LossFunction loss) { return kLossNames.name_of(loss); }

LossFunction loss_function_of(const std::string& name) { return kLossNames.parse("`loss`", name); }

std::vector<Measure> measures_of(const Extras& extras, LossFunction loss, std::int64_t classes, Split split,
                                 std::optional<Split> second) {
  std::vector<Measure> measures;
  const auto add = [&](const std::string& kind, Split of) {
    measures.push_back(measure_of(measure_name(kind, of), loss == LossFunction::cross_entropy ? kNats : ""));
  };
  const auto add_split = [&](Split of) {
    add("loss", of);
    add("accuracy", of);
    for (std::int64_t c = 0; c < (extras.class_losses ? classes : 0); ++c) add(fmt::format("loss_class_{}", c), of);
    if (extras.top5) add("top5", of);
  };
  add_split(split);
  if (second) add_split(*second);
  if (extras.weight_decay > 0) measures.push_back(measure_of("l2"));
  return measures;
}

Evaluation evaluation_of(const Measurement& sums, const Extras& extras, std::int64_t population) {
  const auto whole = static_cast<double>(population);
  const Sum &loss = sums[0], &correct = sums[1];
  Evaluation result;
  result.loss = loss.mean();
  result.loss_se = loss.standard_error(whole);
  result.accuracy = 100 * correct.mean();
  result.accuracy_se = 100 * correct.standard_error_of_share(whole);
  result.images = static_cast<std::int64_t>(loss.count);
  const std::size_t first_class = extras.top5 ? 3 : 2;
  for (std::size_t m = first_class; m < sums.size(); ++m) {
    result.more[fmt::format("loss_class_{}", m - first_class)] = sums[m].mean();
  }
  if (extras.top5) result.more["top5"] = 100 * sums[2].total / sums[2].count;
  return result;
}

}  // namespace lossatlas
