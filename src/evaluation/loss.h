#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/split.h"
#include "grid/measure.h"

namespace lossatlas {

enum class LossFunction {
  cross_entropy,  // -log softmax(z)[label]
  mse,            // mean over the classes of (z - one-hot(label))^2
};

std::string_view name_of(LossFunction loss);
/// Throws UsageError for a name that is not "cross-entropy" or "mse".
LossFunction loss_function_of(const std::string& name);

/// What else is measured, on request.
struct Extras {
  bool class_losses = false;  // mean loss over the images of each class
  bool top5 = false;          // percent of images whose label is among the five largest logits
  double weight_decay = 0;    // λ: the L2 term λ/2 ‖θ‖² over all parameters, where it is above 0
};

/// What is measured on one split or two: loss and accuracy of each and what Extras ask for, train_loss_class_0, …,
/// train_acc_top5; l2.
std::vector<Measure> measures_of(const Extras& extras, LossFunction loss, std::int64_t classes, Split split,
                                 std::optional<Split> second = std::nullopt);

/// Sums the losses of images in double. Images whose logits are not finite make the loss not finite, as it is, and
/// count as wrong.
class LossSum {
 public:
  /// `each`: takes what every image adds; may be null.
  explicit LossSum(LossFunction loss, const Extras& extras = {}, ImageResults* each = nullptr)
      : loss_(loss), extras_(extras), each_(each) {}

  /// Adds images: logits [labels.size(), classes].
  void add(std::span<const float> logits, std::span<const std::int64_t> labels);
  /// Adds an image by what it gave before; nothing that Extras ask for.
  void add(double loss, bool is_correct);

  /// The means, with standard errors under the finite-population correction (1 - n / population): 0 where all images
  /// of the split were used. population >= the number of images added. The L2 term is not among them; the loss of a
  /// class without images is NaN.
  Evaluation result(std::int64_t population) const;

 private:
  LossFunction loss_;
  Extras extras_;
  ImageResults* each_;
  double sum_ = 0;
  double sum_of_squares_ = 0;
  std::int64_t correct_ = 0, correct_top5_ = 0;
  std::int64_t images_ = 0;
  std::vector<double> class_sums_;
  std::vector<std::int64_t> class_images_;
};

}  // namespace lossatlas
