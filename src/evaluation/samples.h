#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "data/data_digest.h"
#include "data/data_set.h"

namespace lossatlas {

/// Some samples as a program and a criterion read them. The first axis of every tensor is the sample; types and other
/// axes are any that they take.
struct Batch {
  std::vector<at::Tensor> inputs;  // on the device of the program
  at::Tensor targets = {};         // on the CPU; undefined if they are among the inputs
  /// [N] on the CPU: 0 for padding, which is run like a sample (so it holds finite numbers) and not counted; undefined:
  /// all 1.
  at::Tensor weights = {};
};

/// Of an array, without a copy: the tensor holds the array.
at::Tensor tensor_of(const Array& array);

/// A batch of at least that many samples: copies of its last one, of weight 0, follow.
Batch padded(Batch samples, std::int64_t least);

/// On the CPU, in double; empty if they are all 1.
std::vector<double> weights_of(const Batch& batch);

/// A data set. Any thread may read one.
class SampleSource {
 public:
  virtual ~SampleSource() = default;

  virtual std::int64_t size() const = 0;
  /// Samples first, …, first + count - 1, perhaps followed by padding.
  virtual Batch batch(std::int64_t first, std::int64_t count) const = 0;
  /// The same, but with the first input, its padding too, written to `out` as floats, on the CPU, and undefined in the
  /// batch. Throws std::logic_error if `out` is too small.
  virtual Batch read(std::int64_t first, std::int64_t count, std::span<float> out) const;
  /// The samples at these indices, in this order.
  virtual std::shared_ptr<const SampleSource> subset(std::span<const std::int64_t> indices) const = 0;
  /// Of labelled samples the class of each: a sample of them takes its share of each. Empty for others.
  virtual std::vector<std::int64_t> classes() const { return {}; }
  /// SHA-256 of the samples, in order.
  virtual std::string sha256() const = 0;
};

/// Tensors: tables, sequences, whatever is held in memory or mapped from a file.
class TensorSamples : public SampleSource {
 public:
  /// Inputs are moved to the device. `fixed_batch`: what every batch is padded to, by copies of its last sample; 0:
  /// batches are as they come. Throws Error unless all first axes are the same, and no weight is negative.
  explicit TensorSamples(Batch all, at::Device device = at::kCPU, std::int64_t fixed_batch = 0);

  std::int64_t size() const override { return all_.inputs.front().size(0); }
  Batch batch(std::int64_t first, std::int64_t count) const override;
  std::shared_ptr<const SampleSource> subset(std::span<const std::int64_t> indices) const override;
  /// Of the tensors' bytes, one after the other.
  std::string sha256() const override;

 private:
  Batch all_;
  std::int64_t fixed_batch_;
  at::Device device_;
};

/// Blocks of token ids, stored as integers of 16 or 32 bits, which become int64 when they are asked for: a file of many
/// gigabytes is never all in memory.
class TokenBlocks : public SampleSource {
 public:
  /// Ids without a sign in tensors of int16 or int32, whose bits they are: LibTorch hardly computes with the others.
  explicit TokenBlocks(std::shared_ptr<const SampleSource> ids) : ids_(std::move(ids)) {}

  std::int64_t size() const override { return ids_->size(); }
  Batch batch(std::int64_t first, std::int64_t count) const override;
  std::shared_ptr<const SampleSource> subset(std::span<const std::int64_t> indices) const override {
    return std::make_shared<TokenBlocks>(ids_->subset(indices));
  }
  std::string sha256() const override { return ids_->sha256(); }

 private:
  std::shared_ptr<const SampleSource> ids_;
};

/// The numbers of a data set's images as they enter the network, rounded once: what mean and deviation make of v, which
/// is p / 255 of a byte p.
class PixelValues {
 public:
  explicit PixelValues(const DataSet& data);

  /// f(value), where value(c, i) is number i of data.pixels, which belongs to channel c.
  template <class Function>
  void visit(const Function& function) const {
    if (data_.pixels.type() == NumberType::uint8) {
      const auto bytes = data_.pixels.numbers<std::uint8_t>();
      function([this, bytes](std::size_t c, std::size_t i) { return table_[c][bytes[i]]; });
    } else {
      const auto values = data_.pixels.numbers<float>();
      function([this, values](std::size_t c, std::size_t i) { return normalized(c, values[i]); });
    }
  }
  /// Of v = 0.
  float black(std::size_t c) const { return table_[c][0]; }

 private:
  float normalized(std::size_t c, double value) const {
    return static_cast<float>((value - data_.normalization.mean[c]) / data_.normalization.deviation[c]);
  }

  const DataSet& data_;
  std::vector<std::array<float, 256>> table_;  // [C], of bytes
};

/// Labelled images of a data set, normalized when they are asked for. On the CPU the pixels stay in the data set; on
/// another device one copy of them lives there. Inputs are [N, C, H, W] float32, targets [N] int64.
class Images : public SampleSource {
 public:
  Images(std::shared_ptr<const DataSet> data, at::Device device);

  std::int64_t size() const override { return static_cast<std::int64_t>(data_->size()); }
  Batch batch(std::int64_t first, std::int64_t count) const override;
  Batch read(std::int64_t first, std::int64_t count, std::span<float> out) const override;
  std::shared_ptr<const SampleSource> subset(std::span<const std::int64_t> indices) const override;
  std::vector<std::int64_t> classes() const override { return data_->labels; }
  std::string sha256() const override { return digest_of(*data_); }

  const DataSet& data() const { return *data_; }
  /// Only the inputs, [count, C, H, W] on the device.
  at::Tensor normalized(std::int64_t first, std::int64_t count) const;

 private:
  bool is_bytes() const { return data_->pixels.type() == NumberType::uint8; }

  std::shared_ptr<const DataSet> data_;
  at::Device device_;
  at::Tensor pixels_;            // [N, C, H, W]: the data set's memory on the CPU, a copy elsewhere
  at::Tensor labels_;            // int64 [N]: the data set's memory
  at::Tensor mean_, deviation_;  // float64 [1, C, 1, 1]
  PixelValues values_;
};

/// The same images as a graph takes them: the labels, if it takes them, are its second input.
class ImageInputs : public SampleSource {
 public:
  /// `least`: what batches are padded to.
  ImageInputs(std::shared_ptr<const SampleSource> images, bool has_labels, std::int64_t least)
      : images_(std::move(images)), has_labels_(has_labels), least_(least) {}

  std::int64_t size() const override { return images_->size(); }
  Batch batch(std::int64_t first, std::int64_t count) const override;
  std::shared_ptr<const SampleSource> subset(std::span<const std::int64_t> indices) const override {
    return std::make_shared<ImageInputs>(images_->subset(indices), has_labels_, least_);
  }
  std::vector<std::int64_t> classes() const override { return images_->classes(); }
  std::string sha256() const override { return images_->sha256(); }

 private:
  std::shared_ptr<const SampleSource> images_;
  bool has_labels_;
  std::int64_t least_;
};

}  // namespace lossatlas
