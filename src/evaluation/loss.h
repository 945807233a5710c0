#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace lossatlas {

enum class LossFunction {
  cross_entropy,  // -log softmax(z)[label]
  mse,            // mean over the classes of (z - one-hot(label))^2
};

std::string_view name_of(LossFunction loss);
/// Throws UsageError for a name that is not "cross-entropy" or "mse".
LossFunction loss_function_of(const std::string& name);

/// The loss of one parameter vector over a set of images.
struct Evaluation {
  double loss = 0;         // mean over the images
  double loss_se = 0;      // its standard error as an estimate of the mean over the whole split
  double accuracy = 0;     // percent
  double accuracy_se = 0;  // percent
  std::int64_t images = 0;
};

/// Sums the losses of images in double. Images whose logits are not finite make the loss not finite, as it is, and
/// count as wrong.
class LossSum {
 public:
  explicit LossSum(LossFunction loss) : loss_(loss) {}

  /// Adds images: logits [labels.size(), classes].
  void add(std::span<const float> logits, std::span<const std::uint8_t> labels);

  /// The means, with standard errors under the finite-population correction (1 - n / population): 0 where all images
  /// of the split were used. population >= the number of images added.
  Evaluation result(std::int64_t population) const;

 private:
  LossFunction loss_;
  double sum_ = 0;
  double sum_of_squares_ = 0;
  std::int64_t correct_ = 0;
  std::int64_t images_ = 0;
};

}  // namespace lossatlas
