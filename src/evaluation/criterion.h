#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "evaluation/loss.h"
#include "evaluation/measurement.h"

namespace lossatlas {

/// Where a criterion puts what samples give.
class Tally {
 public:
  /// `each`: takes the values of single samples too; may be null.
  explicit Tally(Measurement& sum, SampleValues* each = nullptr) : sum_(sum), each_(each) {}

  /// Of a measure over samples once for every sample.
  void add(std::size_t measure, double value) {
    sum_[measure].add(value);
    if (each_ && measure < each_->size()) (*each_)[measure].push_back(value);
  }

 private:
  Measurement& sum_;
  SampleValues* each_;
};

/// Makes losses of single samples, and other measures, of what a program puts out. Any thread may use one. Outputs and
/// targets have any shape and type that the criterion takes; their first axis is the sample.
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
    std::string unit;  // of what is reported, "%" of a share; "" for a pure number
    Over over = Over::samples;
  };

  virtual ~Criterion() = default;

  /// What is measured: the loss first, measures over samples before those over parts.
  virtual const std::vector<Measure>& measures() const = 0;
  /// The loss of each sample, [N], by operators that LibTorch can differentiate; on one device with its arguments.
  virtual at::Tensor losses(const at::Tensor& outputs, const at::Tensor& targets) const = 0;
  /// Adds what the samples give, in their order, to all measures. Targets are on the CPU, outputs anywhere. By default
  /// the losses alone, computed in double.
  virtual void add(const at::Tensor& outputs, const at::Tensor& targets, Tally& tally) const;
};

/// Room for the values of single samples.
SampleValues values_for(const Criterion& criterion);

/// Of a classifier: outputs [N, classes] are logits, targets [N] whole labels. Measures loss and accuracy, on request
/// top5, and over the samples of each class loss_class_0, … Losses are computed in double; logits that are not finite
/// make them not finite, as they are, and count as wrong. Throws Error for other shapes and labels.
std::shared_ptr<const Criterion> make_class_criterion(LossFunction loss, const Extras& extras, std::int64_t classes);

/// Of outputs and targets of one shape: mean (z - t)² over all that a sample has.
std::shared_ptr<const Criterion> make_squared_error();

}  // namespace lossatlas
