#pragma once

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

/// What else is measured, on request.
struct Extras {
  bool class_losses = false;  // mean loss over the images of each class
  bool top5 = false;          // percent of images whose label is among the five largest logits
  double weight_decay = 0;    // λ: the L2 term λ/2 ‖θ‖² over all parameters, where it is above 0
};

}  // namespace lossatlas
