#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "data/data_set.h"
#include "evaluation/samples.h"

namespace lossatlas {

struct Minibatch {
  at::Tensor images;  // [n, C, H, W] float32, normalized
  at::Tensor labels;  // [n] int64
};

/// Minibatches without replacement: each epoch goes once through all images in a new random order. What minibatch k of
/// epoch e holds depends only on the seed, so a run can continue from any step.
class MinibatchSampler {
 public:
  /// augment: each image is shifted by up to 4 pixels (black comes in) and flipped left to right half of the time,
  /// as in He et al. 2016.
  MinibatchSampler(const DataSet& data, std::int64_t batch_size, std::uint64_t seed, bool augment);

  /// Minibatches in an epoch. A last one of a single image is left out if there are others: batch norm has no
  /// variance of one.
  std::int64_t steps() const { return steps_; }
  /// Images in an epoch.
  std::int64_t images() const;

  /// Minibatch `step` of epoch `epoch`, both counted from 0.
  Minibatch at(std::int64_t epoch, std::int64_t step);

 private:
  void copy_image(std::int64_t epoch, std::uint32_t index, float* out) const;

  const DataSet& data_;
  std::int64_t batch_size_;
  std::uint64_t seed_;
  bool augment_;
  std::int64_t steps_;
  PixelValues values_;
  std::int64_t ordered_epoch_ = -1;
  std::vector<std::uint32_t> order_;
};

}  // namespace lossatlas
