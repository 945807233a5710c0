#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/split.h"
#include "evaluation/loss.h"
#include "evaluation/measurement.h"
#include "evaluation/samples.h"
#include "grid/measure.h"

namespace lossatlas {

/// Where a criterion puts what samples give.
class Tally {
 public:
  /// `each`: takes the values of single samples too; may be null.
  explicit Tally(Measurement& sum, SampleValues* each = nullptr) : sum_(sum), each_(each) {}

  /// Of a measure over samples once for every sample.
  void add(std::size_t measure, double value, double weight = 1) {
    sum_[measure].add(value, weight);
    if (!each_ || measure + 1 >= each_->size()) return;
    (*each_)[measure].push_back(value);
    if (measure == 0) each_->back().push_back(weight);
  }

 private:
  Measurement& sum_;
  SampleValues* each_;
};

/// Makes losses of single samples, and other measures, of what a program puts out. Any thread may use one. Outputs, and
/// what a batch holds, have any shape and type that the criterion takes; their first axis is the sample.
class Criterion {
 public:
  /// One named number of a point.
  struct Measure {
    /// What its mean is over.
    enum class Over {
      samples,  // every sample has one value
      parts,    // of samples, as many as there are: tokens, pixels, the images of one class
    };

    std::string name;  // "loss", "accuracy", "loss_class_3"
    std::string unit;  // "percent" of a share, which is counted from 0 to 1; "" for a pure number
    Over over = Over::samples;
  };

  virtual ~Criterion() = default;

  /// What is measured: the loss first, measures over samples before those over parts.
  virtual const std::vector<Measure>& measures() const = 0;
  /// The loss of each sample, [N], by operators that LibTorch can differentiate; on the device of the outputs.
  virtual at::Tensor losses(const at::Tensor& outputs, const Batch& batch) const = 0;
  /// The weight of each, [N] on the same device; undefined: all 1. By default those of the batch.
  virtual at::Tensor weights(const at::Tensor& outputs, const Batch& batch) const;
  /// Adds what the samples give, in their order, to all measures. Padding is passed over. By default only the losses,
  /// computed in double.
  virtual void add(const at::Tensor& outputs, const Batch& batch, Tally& tally) const;
};

/// Room for the values of single samples, and their weights.
SampleValues values_for(const Criterion& criterion);

/// What a criterion measures as files have it, on one split or two, train_loss, train_acc, …, and with `has_l2` the L2
/// term. `samples`: what they are called, "images".
std::vector<Measure> measures_of(const Criterion& criterion, Split split, std::optional<Split> second, bool has_l2,
                                 std::string_view samples);

/// The values of a criterion's sums: means, shares in percent, with standard errors of loss and accuracy under the
/// finite-population correction, 0 where all samples of the split were used. population >= the number of samples added.
/// NaN of a measure without values.
Evaluation evaluation_of(const Measurement& sums, const std::vector<Criterion::Measure>& measures,
                         std::int64_t population);

/// Of a classifier: outputs [N, classes] are logits, targets [N] whole labels. Measures loss and accuracy, on request
/// top5, and over the samples of each class loss_class_0, … Losses are computed in double; logits that are not finite
/// make them not finite, as they are, and count as wrong. Throws Error for other shapes and labels.
std::shared_ptr<const Criterion> make_class_criterion(LossFunction loss, const Extras& extras, std::int64_t classes);

/// Of outputs and targets of one shape: mean (z - t)² over all that a sample has.
std::shared_ptr<const Criterion> make_squared_error();

}  // namespace lossatlas
