#include "evaluation/samples.h"

#include <ATen/ops/from_blob.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "base/error.h"

namespace lossatlas {
namespace {

at::Tensor per_channel(const std::vector<double>& values, at::Device device) {
  return at::tensor(values, at::kDouble).view({1, -1, 1, 1}).to(device);
}

at::Tensor part(const at::Tensor& tensor, std::int64_t first, std::int64_t count) {
  return tensor.defined() ? tensor.narrow(0, first, count) : tensor;
}

}  // namespace

Weighed without_padding(const at::Tensor& outputs, const Batch& batch) {
  if (!batch.weights.defined()) return {outputs, batch.targets};
  const at::Tensor kept = batch.weights.nonzero().flatten();
  return {outputs.index_select(0, kept.to(outputs.device())), batch.targets.index_select(0, kept)};
}

Batch SampleSource::read(std::int64_t first, std::int64_t count, std::span<float> out) const {
  Batch samples = batch(first, count);
  const at::Tensor floats = samples.inputs.front().to(at::kCPU, at::kFloat).contiguous();
  if (static_cast<std::size_t>(floats.numel()) > out.size()) throw std::logic_error("SampleSource: larger samples");
  std::copy_n(floats.data_ptr<float>(), floats.numel(), out.begin());
  samples.inputs.clear();
  return samples;
}

TensorSamples::TensorSamples(std::vector<at::Tensor> inputs, at::Tensor targets, at::Tensor weights, at::Device device)
    : all_{std::move(inputs), std::move(targets), std::move(weights)} {
  const auto check = [&](const at::Tensor& tensor) {
    if (tensor.dim() > 0 && tensor.size(0) == all_.targets.size(0)) return;
    throw Error("the first axis of a data set's tensors is the sample: there are [{}] and [{}]",
                fmt::join(tensor.sizes(), ", "), fmt::join(all_.targets.sizes(), ", "));
  };
  check(all_.targets);
  for (at::Tensor& input : all_.inputs) {
    check(input);
    input = input.to(device);
  }
  if (!all_.weights.defined()) return;
  check(all_.weights);
  if (!all_.weights.eq(0).logical_or(all_.weights.eq(1)).all().item<bool>()) {
    throw Error("the weight of a sample is 1, that of padding 0: there are others");
  }
}

Batch TensorSamples::batch(std::int64_t first, std::int64_t count) const {
  Batch samples{{}, part(all_.targets, first, count), part(all_.weights, first, count)};
  for (const at::Tensor& input : all_.inputs) samples.inputs.push_back(part(input, first, count));
  return samples;
}

std::vector<std::array<float, 256>> pixel_table(const PixelNormalization& normalization) {
  std::vector<std::array<float, 256>> table(normalization.mean.size());
  for (std::size_t c = 0; c < table.size(); ++c) {
    for (std::size_t p = 0; p < 256; ++p) {
      const double value = (static_cast<double>(p) / 255 - normalization.mean[c]) / normalization.deviation[c];
      table[c][p] = static_cast<float>(value);
    }
  }
  return table;
}

Images::Images(std::shared_ptr<const DataSet> data, at::Device device)
    : data_(std::move(data)),
      mean_(per_channel(data_->normalization.mean, device)),
      deviation_(per_channel(data_->normalization.deviation, device)),
      table_(pixel_table(data_->normalization)) {
  const auto [channels, height, width] = data_->shape;
  // from_blob wants pointers to non-const; nothing writes through them.
  pixels_ = at::from_blob(const_cast<std::uint8_t*>(data_->pixels.data()), {size(), channels, height, width}, at::kByte)
                .to(device);
  labels_ = at::from_blob(const_cast<std::int64_t*>(data_->labels.data()), {size()}, at::kLong);
}

at::Tensor Images::normalized(std::int64_t first, std::int64_t count) const {
  const auto pixels = pixels_.narrow(0, first, count).to(at::kDouble);
  return pixels.div(255).sub_(mean_).div_(deviation_).to(at::kFloat);
}

Batch Images::batch(std::int64_t first, std::int64_t count) const {
  return {{normalized(first, count)}, labels_.narrow(0, first, count)};
}

Batch Images::read(std::int64_t first, std::int64_t count, std::span<float> out) const {
  const auto pixels = static_cast<std::size_t>(data_->shape[1] * data_->shape[2]);
  const std::uint8_t* from = data_->pixels.data() + static_cast<std::size_t>(first) * data_->image_bytes();
  float* to = out.data();
  for (std::int64_t n = 0; n < count; ++n) {
    for (const auto& values : table_) {
      for (std::size_t p = 0; p < pixels; ++p) *to++ = values[*from++];
    }
  }
  return {{}, labels_.narrow(0, first, count)};
}

}  // namespace lossatlas
