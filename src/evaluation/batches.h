#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>

#include "data/data_set.h"

namespace lossatlas {

/// A data set as a network reads it: batches of normalized floats, made when asked for. On the CPU the pixels stay in
/// the data set; on another device one copy of them lives there. Any thread may call batch().
class Batches {
 public:
  Batches(std::shared_ptr<const DataSet> data, at::Device device);

  std::int64_t size() const { return static_cast<std::int64_t>(data_->size()); }
  const DataSet& data() const { return *data_; }
  at::Device device() const { return device_; }

  /// Images first, …, first + count - 1: [count, C, H, W] float32 on the device.
  at::Tensor batch(std::int64_t first, std::int64_t count) const;
  /// The same numbers on the CPU, written to out: [count][C][H][W].
  void read(std::int64_t first, std::int64_t count, std::span<float> out) const;
  std::span<const std::int64_t> labels(std::int64_t first, std::int64_t count) const;

 private:
  std::shared_ptr<const DataSet> data_;
  at::Device device_;
  at::Tensor pixels_;            // uint8 [N, C, H, W]: the data set's memory on the CPU, a copy elsewhere
  at::Tensor mean_, deviation_;  // float64 [1, C, 1, 1]
  std::vector<std::array<float, 256>> table_;
};

/// The value that each pixel value takes, [C][256]: (p / 255 - mean[c]) / deviation[c], rounded once.
std::vector<std::array<float, 256>> pixel_table(const PixelNormalization& normalization);

}  // namespace lossatlas
