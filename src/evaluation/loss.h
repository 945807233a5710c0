#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/split.h"
#include "evaluation/measurement.h"
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

/// The values of a classifier's sums, as make_class_criterion has them for the same extras: means, with standard errors
/// under the finite-population correction, 0 where all images of the split were used. population >= the number of
/// images added. The L2 term is not among them; the loss of a class without images is NaN.
Evaluation evaluation_of(const Measurement& sums, const Extras& extras, std::int64_t population);

}  // namespace lossatlas
