#include "evaluation/loss.h"

#include <algorithm>
#include <cmath>
#include <limits>

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

bool is_correct(std::span<const float> logits, std::size_t label) {
  const bool finite = std::all_of(logits.begin(), logits.end(), [](float z) { return std::isfinite(z); });
  return finite &&
         std::max_element(logits.begin(), logits.end()) - logits.begin() == static_cast<std::ptrdiff_t>(label);
}

}  // namespace

std::string_view name_of(LossFunction loss) { return loss == LossFunction::mse ? "mse" : "cross-entropy"; }

LossFunction loss_function_of(const std::string& name) {
  for (const LossFunction loss : {LossFunction::cross_entropy, LossFunction::mse}) {
    if (name == name_of(loss)) return loss;
  }
  throw UsageError("--loss {}: wants cross-entropy or mse", name);
}

void LossSum::add(std::span<const float> logits, std::span<const std::uint8_t> labels) {
  const std::size_t classes = logits.size() / labels.size();
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto row = logits.subspan(i * classes, classes);
    const double loss = loss_ == LossFunction::mse ? mean_squared_error(row, labels[i]) : cross_entropy(row, labels[i]);
    sum_ += loss;
    sum_of_squares_ += loss * loss;
    correct_ += is_correct(row, labels[i]) ? 1 : 0;
  }
  images_ += static_cast<std::int64_t>(labels.size());
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
  return result;
}

}  // namespace lossatlas
