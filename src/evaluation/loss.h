#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/data_set.h"
#include "evaluation/measurement.h"

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

/// Names of Evaluation::more, in its order: what Extras ask for, train_loss_class_0, …, train_acc_top5; where a second
/// split is evaluated too, test_loss, test_loss_se, test_acc, test_acc_se, test_images and the same of it; l2.
std::vector<std::string> names_of(const Extras& extras, Split split, std::int64_t classes,
                                  std::optional<Split> second = std::nullopt);

/// The loss of one parameter vector over a set of images.
struct Evaluation {
  double loss = 0;         // mean over the images
  double loss_se = 0;      // its standard error as an estimate of the mean over the whole split
  double accuracy = 0;     // percent
  double accuracy_se = 0;  // percent
  std::int64_t images = 0;
  std::vector<double> more = {};  // what else was asked for: names_of() says what
};

/// What single images give, in their order.
struct ImageResults {
  std::vector<double> losses;
  std::vector<std::uint8_t> is_correct;  // 1, or 0
};

/// The values of a classifier's sums, as make_class_criterion has them for the same extras: means, with standard errors
/// under the finite-population correction, 0 where all images of the split were used. population >= the number of
/// images added. `more` lacks the L2 term; the loss of a class without images is NaN.
Evaluation evaluation_of(const Measurement& sums, const Extras& extras, std::int64_t population);

}  // namespace lossatlas
