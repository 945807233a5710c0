#include "evaluation/loss.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/names.h"

namespace lossatlas {
namespace {

constexpr NameTable<LossFunction, 2> kLossNames{
    {{LossFunction::cross_entropy, "cross-entropy"}, {LossFunction::mse, "mse"}}};

/// log sum exp(z) - z[label], in double. A NaN among the logits gives NaN, for +inf the difference is inf - inf: NaN.
double cross_entropy(std::span<const float> logits, std::size_t label) {
  double largest = -std::numeric_limits<double>::infinity();
  for (const float z : logits) largest = std::max(largest, static_cast<double>(z));
  double sum = 0;
  for (const float z : logits) sum += std::exp(static_cast<double>(z) - largest);
  return std::log(sum) + largest - static_cast<double>(logits[label]);
}

double mean_squared_error(std::span<const float> logits, std::size_t label) {
  double sum = 0;
  for (std::size_t c = 0; c < logits.size(); ++c) {
    const double error = static_cast<double>(logits[c]) - (c == label ? 1.0 : 0.0);
    sum += error * error;
  }
  return sum / static_cast<double>(logits.size());
}

bool all_finite(std::span<const float> logits) {
  return std::all_of(logits.begin(), logits.end(), [](float z) { return std::isfinite(z); });
}

bool is_correct(std::span<const float> logits, std::size_t label) {
  return all_finite(logits) &&
         std::max_element(logits.begin(), logits.end()) - logits.begin() == static_cast<std::ptrdiff_t>(label);
}

/// True where fewer than five logits are larger than the label's.
bool is_among_five(std::span<const float> logits, std::size_t label) {
  const auto larger = [&](float z) { return z > logits[label]; };
  return all_finite(logits) && std::count_if(logits.begin(), logits.end(), larger) < 5;
}

}  // namespace

std::string_view name_of(LossFunction loss) { return kLossNames.name_of(loss); }

LossFunction loss_function_of(const std::string& name) { return kLossNames.parse("--loss", name); }

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

void LossSum::add(std::span<const float> logits, std::span<const std::int64_t> labels) {
  const std::size_t classes = logits.size() / labels.size();
  if (extras_.class_losses) {
    class_sums_.resize(classes);
    class_images_.resize(classes);
  }
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto row = logits.subspan(i * classes, classes);
    const auto label = static_cast<std::size_t>(labels[i]);
    const double loss = loss_ == LossFunction::mse ? mean_squared_error(row, label) : cross_entropy(row, label);
    add(loss, is_correct(row, label));
    if (extras_.top5) correct_top5_ += is_among_five(row, label) ? 1 : 0;
    if (!extras_.class_losses) continue;
    class_sums_[label] += loss;
    ++class_images_[label];
  }
}

void LossSum::add(double loss, bool is_correct) {
  sum_ += loss;
  sum_of_squares_ += loss * loss;
  correct_ += is_correct ? 1 : 0;
  ++images_;
  if (!each_) return;
  each_->losses.push_back(loss);
  each_->is_correct.push_back(is_correct ? 1 : 0);
}

Evaluation LossSum::result(std::int64_t population) const {
  const auto n = static_cast<double>(images_);
  // 1 - n / population over n - 1 turns a sum of squared differences, divided by n, into the squared standard error.
  const double correction = n > 1 ? (1 - n / static_cast<double>(population)) / (n - 1) : (population > 1 ? NAN : 0);
  const double share = static_cast<double>(correct_) / n;
  const double mean = sum_ / n;
  Evaluation result;
  result.loss = mean;
  result.loss_se = std::isfinite(mean) ? std::sqrt(std::max(0.0, sum_of_squares_ / n - mean * mean) * correction) : NAN;
  result.accuracy = 100 * share;
  result.accuracy_se = 100 * std::sqrt(share * (1 - share) * correction);
  result.images = images_;
  for (std::size_t c = 0; c < class_sums_.size(); ++c) {
    result.more[fmt::format("loss_class_{}", c)] = class_sums_[c] / static_cast<double>(class_images_[c]);
  }
  if (extras_.top5) result.more["top5"] = 100 * static_cast<double>(correct_top5_) / n;
  return result;
}

}  // namespace lossatlas
