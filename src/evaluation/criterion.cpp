#include "evaluation/criterion.h"

#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/one_hot.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <utility>

#include "base/error.h"

namespace lossatlas {
namespace {

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

/// True if fewer than five logits are larger than the label's.
bool is_among_five(std::span<const float> logits, std::size_t label) {
  const auto larger = [&](float z) { return z > logits[label]; };
  return all_finite(logits) && std::count_if(logits.begin(), logits.end(), larger) < 5;
}

class ClassCriterion : public Criterion {
 public:
  ClassCriterion(LossFunction loss, const Extras& extras, std::int64_t classes)
      : loss_(loss), extras_(extras), classes_(static_cast<std::size_t>(classes)) {
    const std::string unit(loss == LossFunction::cross_entropy ? kNats : "");
    measures_ = {{"loss", unit}, {"accuracy", std::string(kPercent)}};
    if (extras.top5) measures_.push_back({"top5", std::string(kPercent)});
    first_class_ = measures_.size();
    for (std::int64_t c = 0; c < (extras.class_losses ? classes : 0); ++c) {
      measures_.push_back({fmt::format("loss_class_{}", c), unit, Measure::Over::parts});
    }
  }

  const std::vector<Measure>& measures() const override { return measures_; }

  at::Tensor losses(const at::Tensor& outputs, const Batch& batch) const override {
    check(outputs, batch.targets);
    const at::Tensor targets = batch.targets.to(outputs.device());
    if (loss_ == LossFunction::cross_entropy) return at::cross_entropy_loss(outputs, targets, {}, at::Reduction::None);
    return outputs.sub(at::one_hot(targets, outputs.size(1))).square().mean(1);
  }

  void add(const at::Tensor& outputs, const Batch& batch, Tally& tally) const override {
    check(outputs, batch.targets);
    const at::Tensor logits = outputs.to(at::kCPU, at::kFloat).contiguous();
    const at::Tensor labels = batch.targets.contiguous();
    const auto classes = static_cast<std::size_t>(logits.size(1));
    const std::span all(logits.data_ptr<float>(), static_cast<std::size_t>(logits.numel()));
    const std::span each(labels.data_ptr<std::int64_t>(), static_cast<std::size_t>(labels.numel()));
    const std::vector<double> weights = weights_of(batch);
    for (std::size_t i = 0; i < each.size(); ++i) {
      const double weight = weights.empty() ? 1 : weights[i];
      if (weight != 0) add(all.subspan(i * classes, classes), each[i], weight, tally);
    }
  }

 private:
  static void check(const at::Tensor& outputs, const at::Tensor& targets) {
    if (outputs.dim() == 2 && targets.dim() == 1 && outputs.size(0) == targets.size(0) &&
        targets.scalar_type() == at::kLong) {
      return;
    }
    throw Error("a classifier's loss takes logits [samples, classes] and as many whole labels, not [{}] and [{}] of {}",
                fmt::join(outputs.sizes(), ", "), fmt::join(targets.sizes(), ", "),
                c10::toString(targets.scalar_type()));
  }

  void add(std::span<const float> logits, std::int64_t target, double weight, Tally& tally) const {
    const auto label = static_cast<std::size_t>(target);
    const std::size_t classes = std::min(classes_, logits.size());
    if (label >= classes) throw Error("label {}: the network distinguishes {} classes", target, classes);
    const double loss = loss_ == LossFunction::mse ? mean_squared_error(logits, label) : cross_entropy(logits, label);
    tally.add(0, loss, weight);
    tally.add(1, is_correct(logits, label) ? 1 : 0, weight);
    if (extras_.top5) tally.add(2, is_among_five(logits, label) ? 1 : 0, weight);
    if (extras_.class_losses) tally.add(first_class_ + label, loss, weight);
  }

  LossFunction loss_;
  Extras extras_;
  std::size_t classes_;
  std::vector<Measure> measures_;
  std::size_t first_class_ = 0;
};

class SquaredError : public Criterion {
 public:
  const std::vector<Measure>& measures() const override { return measures_; }

  at::Tensor losses(const at::Tensor& outputs, const Batch& batch) const override {
    const at::Tensor targets = batch.targets.to(outputs.device());
    if (outputs.sizes() != targets.sizes()) {  // else they would be repeated to fit each other
      throw Error("squared errors take outputs and targets of one shape, not [{}] and [{}]",
                  fmt::join(outputs.sizes(), ", "), fmt::join(targets.sizes(), ", "));
    }
    return outputs.sub(targets).square().reshape({outputs.size(0), -1}).mean(1);
  }

 private:
  std::vector<Measure> measures_{{"loss", ""}};
};

}  // namespace

at::Tensor Criterion::weights(const at::Tensor& outputs, const Batch& batch) const {
  return batch.weights.defined() ? batch.weights.to(outputs.device()) : at::Tensor();
}

void Criterion::add(const at::Tensor& outputs, const Batch& batch, Tally& tally) const {
  const at::Tensor each = losses(outputs.to(at::kCPU, at::kDouble), batch).to(at::kDouble).contiguous();
  const std::vector<double> weights = weights_of(batch);
  for (std::int64_t i = 0; i < each.numel(); ++i) {
    const double weight = weights.empty() ? 1 : weights[static_cast<std::size_t>(i)];
    if (weight != 0) tally.add(0, each.const_data_ptr<double>()[i], weight);
  }
}

SampleValues values_for(const Criterion& criterion) {
  const auto& measures = criterion.measures();
  const auto count = std::count_if(measures.begin(), measures.end(), [](const auto& measure) {
    return measure.over == Criterion::Measure::Over::samples;
  });
  return SampleValues(static_cast<std::size_t>(count) + 1);
}

std::vector<Measure> measures_of(const Criterion& criterion, Split split, std::optional<Split> second, bool has_l2,
                                 std::string_view samples) {
  // Loss and accuracy, then those over parts, then the rest: the order of the fields in files.
  auto ordered = criterion.measures();
  const auto rank = [](const Criterion::Measure& measure) {
    if (measure.name == "loss") return 0;
    if (measure.name == "accuracy") return 1;
    return measure.over == Criterion::Measure::Over::parts ? 2 : 3;
  };
  std::stable_sort(ordered.begin(), ordered.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  std::vector<Measure> measures;
  for (const auto of : {std::optional(split), second}) {
    for (const auto& [name, unit, over] : ordered) {
      if (!of) continue;
      Measure measure = measure_of(measure_name(name, *of));
      measure.unit = unit;
      measure.mean_of = samples;
      measures.push_back(std::move(measure));
    }
  }
  if (has_l2) measures.push_back(measure_of("l2"));
  return measures;
}

Evaluation evaluation_of(const Measurement& sums, const std::vector<Criterion::Measure>& measures,
                         std::int64_t population) {
  const auto whole = static_cast<double>(population);
  Evaluation result;
  result.accuracy = result.accuracy_se = std::numeric_limits<double>::quiet_NaN();
  result.images = static_cast<std::int64_t>(sums[0].count);
  for (std::size_t m = 0; m < measures.size(); ++m) {
    const Sum& sum = sums[m];
    if (measures[m].name == "loss") {
      result.set("loss", sum.mean(), sum.standard_error(whole));
    } else if (measures[m].name == "accuracy") {
      const bool is_binary = sum.squares == sum.total && sum.weights == sum.count;
      const double error = is_binary ? sum.standard_error_of_share(whole) : sum.standard_error(whole);
      result.set("accuracy", 100 * sum.mean(), 100 * error);
    } else {
      const bool is_share = measures[m].unit == kPercent;
      result.more[measures[m].name] = is_share ? 100 * sum.total / sum.weights : sum.mean();
    }
  }
  return result;
}

std::shared_ptr<const Criterion> make_class_criterion(LossFunction loss, const Extras& extras, std::int64_t classes) {
  return std::make_shared<ClassCriterion>(loss, extras, classes);
}

std::shared_ptr<const Criterion> make_squared_error() { return std::make_shared<SquaredError>(); }

}  // namespace lossatlas
