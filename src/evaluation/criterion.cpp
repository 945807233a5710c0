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

/// True where fewer than five logits are larger than the label's.
bool is_among_five(std::span<const float> logits, std::size_t label) {
  const auto larger = [&](float z) { return z > logits[label]; };
  return all_finite(logits) && std::count_if(logits.begin(), logits.end(), larger) < 5;
}

class ClassCriterion : public Criterion {
 public:
  ClassCriterion(LossFunction loss, const Extras& extras, std::int64_t classes)
      : loss_(loss), extras_(extras), classes_(static_cast<std::size_t>(classes)) {
    measures_ = {{"loss", ""}, {"accuracy", "%"}};
    if (extras.top5) measures_.push_back({"top5", "%"});
    first_class_ = measures_.size();
    for (std::int64_t c = 0; c < (extras.class_losses ? classes : 0); ++c) {
      measures_.push_back({fmt::format("loss_class_{}", c), "", Measure::Over::parts});
    }
  }

  const std::vector<Measure>& measures() const override { return measures_; }

  at::Tensor losses(const at::Tensor& outputs, const at::Tensor& targets) const override {
    check(outputs, targets);
    if (loss_ == LossFunction::cross_entropy) return at::cross_entropy_loss(outputs, targets, {}, at::Reduction::None);
    return outputs.sub(at::one_hot(targets, outputs.size(1))).square().mean(1);
  }

  void add(const at::Tensor& outputs, const at::Tensor& targets, Tally& tally) const override {
    check(outputs, targets);
    const at::Tensor logits = outputs.to(at::kCPU, at::kFloat).contiguous();
    const at::Tensor labels = targets.contiguous();
    const auto classes = static_cast<std::size_t>(logits.size(1));
    const std::span all(logits.data_ptr<float>(), static_cast<std::size_t>(logits.numel()));
    const std::span each(labels.data_ptr<std::int64_t>(), static_cast<std::size_t>(labels.numel()));
    for (std::size_t i = 0; i < each.size(); ++i) add(all.subspan(i * classes, classes), each[i], tally);
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

  void add(std::span<const float> logits, std::int64_t target, Tally& tally) const {
    const auto label = static_cast<std::size_t>(target);
    const std::size_t classes = std::min(classes_, logits.size());
    if (label >= classes) throw Error("label {}: the network tells {} classes apart", target, classes);
    const double loss = loss_ == LossFunction::mse ? mean_squared_error(logits, label) : cross_entropy(logits, label);
    tally.add(0, loss);
    tally.add(1, is_correct(logits, label) ? 1 : 0);
    if (extras_.top5) tally.add(2, is_among_five(logits, label) ? 1 : 0);
    if (extras_.class_losses) tally.add(first_class_ + label, loss);
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

  at::Tensor losses(const at::Tensor& outputs, const at::Tensor& targets) const override {
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

void Criterion::add(const at::Tensor& outputs, const at::Tensor& targets, Tally& tally) const {
  const at::Tensor each = losses(outputs.to(at::kCPU, at::kDouble), targets).to(at::kDouble).contiguous();
  for (const double loss : std::span(each.data_ptr<double>(), static_cast<std::size_t>(each.numel()))) {
    tally.add(0, loss);
  }
}

SampleValues values_for(const Criterion& criterion) {
  const auto& measures = criterion.measures();
  return SampleValues(static_cast<std::size_t>(std::count_if(measures.begin(), measures.end(), [](const auto& measure) {
    return measure.over == Criterion::Measure::Over::samples;
  })));
}

std::shared_ptr<const Criterion> make_class_criterion(LossFunction loss, const Extras& extras, std::int64_t classes) {
  return std::make_shared<ClassCriterion>(loss, extras, classes);
}

std::shared_ptr<const Criterion> make_squared_error() { return std::make_shared<SquaredError>(); }

}  // namespace lossatlas
