#include "evaluation/loss.h"

#include "base/names.h"

namespace lossatlas {
namespace {

constexpr NameTable<LossFunction, 2> kLossNames{
    {{LossFunction::cross_entropy, "cross-entropy"}, {LossFunction::mse, "mse"}}};

}  // namespace

std::string_view name_of(LossFunction loss) { return kLossNames.name_of(loss); }

LossFunction loss_function_of(const std::string& name) { return kLossNames.parse("--loss", name); }

std::vector<std::string> names_of(const Extras& extras, Split split, std::int64_t classes,
                                  std::optional<Split> second) {
  std::vector<std::string> names;
  const auto add_extras = [&](Split of) {
    for (std::int64_t c = 0; c < (extras.class_losses ? classes : 0); ++c) {
      names.push_back(fmt::format("{}_loss_class_{}", name_of(of), c));
    }
    if (extras.top5) names.push_back(fmt::format("{}_acc_top5", name_of(of)));
  };
  add_extras(split);
  if (second) {
    for (const char* value : {"loss", "loss_se", "acc", "acc_se", "images"}) {
      names.push_back(fmt::format("{}_{}", name_of(*second), value));
    }
    add_extras(*second);
  }
  if (extras.weight_decay > 0) names.emplace_back("l2");
  return names;
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
  for (std::size_t m = first_class; m < sums.size(); ++m) result.more.push_back(sums[m].mean());
  if (extras.top5) result.more.push_back(100 * sums[2].total / sums[2].count);
  return result;
}

}  // namespace lossatlas
