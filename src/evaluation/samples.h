#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "data/data_set.h"

namespace lossatlas {

/// Some samples as a program and a criterion read them. The first axis of every tensor is the sample; types and other
/// axes are any that they take.
struct Batch {
  std::vector<at::Tensor> inputs;  // on the device of the program
  at::Tensor targets;              // on the CPU
  at::Tensor weights = {};         // [N] on the CPU: 1 for a sample, 0 for padding; undefined: all 1
};

/// The outputs and targets of what is no padding, which is run like a sample (so it holds finite numbers) and not
/// counted.
struct Weighed {
  at::Tensor outputs, targets;
};
Weighed without_padding(const at::Tensor& outputs, const Batch& batch);

/// A data set. Any thread may read one.
class SampleSource {
 public:
  virtual ~SampleSource() = default;

  virtual std::int64_t size() const = 0;
  /// Samples first, …, first + count - 1.
  virtual Batch batch(std::int64_t first, std::int64_t count) const = 0;
  /// The same, but with the first input written to `out` as floats, on the CPU; the batch lacks its inputs. Throws
  /// std::logic_error if `out` is too small.
  virtual Batch read(std::int64_t first, std::int64_t count, std::span<float> out) const;
};

/// Tensors that are held whole: tables, sequences, whatever fits in memory.
class TensorSamples : public SampleSource {
 public:
  /// Inputs are moved to the device. Throws Error unless all first axes are the same, and weights 0 or 1.
  TensorSamples(std::vector<at::Tensor> inputs, at::Tensor targets, at::Tensor weights = {},
                at::Device device = at::kCPU);

  std::int64_t size() const override { return all_.targets.size(0); }
  Batch batch(std::int64_t first, std::int64_t count) const override;

 private:
  Batch all_;
};

/// Labelled images of a data set, normalized when they are asked for. On the CPU the pixels stay in the data set; on
/// another device one copy of them lives there. Inputs are [N, C, H, W] float32, targets [N] int64.
class Images : public SampleSource {
 public:
  Images(std::shared_ptr<const DataSet> data, at::Device device);

  std::int64_t size() const override { return static_cast<std::int64_t>(data_->size()); }
  Batch batch(std::int64_t first, std::int64_t count) const override;
  Batch read(std::int64_t first, std::int64_t count, std::span<float> out) const override;

  const DataSet& data() const { return *data_; }
  /// The inputs alone, [count, C, H, W] on the device.
  at::Tensor normalized(std::int64_t first, std::int64_t count) const;

 private:
  std::shared_ptr<const DataSet> data_;
  at::Tensor pixels_;            // uint8 [N, C, H, W]: the data set's memory on the CPU, a copy elsewhere
  at::Tensor labels_;            // int64 [N]: the data set's memory
  at::Tensor mean_, deviation_;  // float64 [1, C, 1, 1]
  std::vector<std::array<float, 256>> table_;
};

/// The value that each pixel value takes, [C][256]: (p / 255 - mean[c]) / deviation[c], rounded once.
std::vector<std::array<float, 256>> pixel_table(const PixelNormalization& normalization);

}  // namespace lossatlas
