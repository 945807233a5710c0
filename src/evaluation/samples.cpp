#include "evaluation/samples.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "base/error.h"
#include "base/sha256.h"

namespace lossatlas {
namespace {

at::Tensor per_channel(const std::vector<double>& values, at::Device device) {
  return at::tensor(values, at::kDouble).view({1, -1, 1, 1}).to(device);
}

/// f(tensor) for each that there is; const or not, as the batch is.
template <class AnyBatch, class Function>
void for_each_tensor(AnyBatch& batch, const Function& function) {
  for (auto& input : batch.inputs) function(input);
  for (auto* tensor : {&batch.targets, &batch.weights}) {
    if (tensor->defined()) function(*tensor);
  }
}

at::ScalarType scalar_type(NumberType type) {
  switch (type) {
    case NumberType::boolean: return at::kBool;
    case NumberType::uint8: return at::kByte;
    case NumberType::int8: return at::kChar;
    case NumberType::uint16: return at::kUInt16;
    case NumberType::int16: return at::kShort;
    case NumberType::uint32: return at::kUInt32;
    case NumberType::int32: return at::kInt;
    case NumberType::int64: return at::kLong;
    case NumberType::float16: return at::kHalf;
    case NumberType::bfloat16: return at::kBFloat16;
    case NumberType::float32: return at::kFloat;
    case NumberType::float64: return at::kDouble;
  }
  throw std::logic_error("scalar_type: unknown type");
}

}  // namespace

at::Tensor tensor_of(const Array& array) {
  // from_blob takes a non-const pointer, but nothing is written through it.
  void* numbers = const_cast<std::byte*>(array.bytes().data());
  return at::from_blob(
      numbers, array.shape(), [array](void*) {}, scalar_type(array.type()));
}

Batch padded(Batch samples, std::int64_t least) {
  const std::int64_t count = samples.inputs.front().size(0);
  if (count >= least) return samples;
  if (!samples.weights.defined()) samples.weights = at::ones({count}, at::kDouble);
  const auto rows = at::arange(least).clamp_max(count - 1);
  for_each_tensor(samples, [&](at::Tensor& tensor) { tensor = tensor.index_select(0, rows.to(tensor.device())); });
  samples.weights.narrow(0, count, least - count).zero_();
  return samples;
}

std::vector<double> weights_of(const Batch& batch) {
  if (!batch.weights.defined()) return {};
  const at::Tensor weights = batch.weights.to(at::kDouble).contiguous();
  return {weights.const_data_ptr<double>(), weights.const_data_ptr<double>() + weights.numel()};
}

Batch SampleSource::read(std::int64_t first, std::int64_t count, std::span<float> out) const {
  Batch samples = batch(first, count);
  const at::Tensor floats = samples.inputs.front().to(at::kCPU, at::kFloat).contiguous();
  if (static_cast<std::size_t>(floats.numel()) > out.size()) throw std::logic_error("SampleSource: larger samples");
  std::copy_n(floats.const_data_ptr<float>(), floats.numel(), out.begin());
  samples.inputs.front() = at::Tensor();
  return samples;
}

TensorSamples::TensorSamples(Batch all, at::Device device, std::int64_t fixed_batch)
    : all_(std::move(all)), fixed_batch_(fixed_batch), device_(device) {
  const at::Tensor& first = all_.inputs.front();
  for_each_tensor(all_, [&](const at::Tensor& tensor) {
    if (tensor.dim() > 0 && tensor.size(0) == first.size(0)) return;
    throw Error("the first axis of a data set's tensors is the sample: there are [{}] and [{}]",
                fmt::join(tensor.sizes(), ", "), fmt::join(first.sizes(), ", "));
  });
  for (at::Tensor& input : all_.inputs) input = input.to(device);
  if (all_.weights.defined() && all_.weights.lt(0).any().item<bool>())
    throw Error("the weight of a sample is negative");
}

Batch TensorSamples::batch(std::int64_t first, std::int64_t count) const {
  Batch samples = all_;
  for_each_tensor(samples, [&](at::Tensor& tensor) { tensor = tensor.narrow(0, first, count); });
  return padded(std::move(samples), fixed_batch_);
}

std::shared_ptr<const SampleSource> TensorSamples::subset(std::span<const std::int64_t> indices) const {
  const auto rows = at::tensor(at::ArrayRef(indices.data(), indices.size()), at::kLong);
  Batch some = all_;
  for_each_tensor(some, [&](at::Tensor& tensor) { tensor = tensor.index_select(0, rows.to(tensor.device())); });
  return std::make_shared<TensorSamples>(std::move(some), device_, fixed_batch_);
}

std::string TensorSamples::sha256() const {
  Sha256 digest;
  for_each_tensor(all_, [&](const at::Tensor& tensor) {
    const at::Tensor bytes = tensor.cpu().contiguous();
    digest.add({static_cast<const std::byte*>(bytes.const_data_ptr()), bytes.nbytes()});
  });
  return digest.finish();
}

Batch TokenBlocks::batch(std::int64_t first, std::int64_t count) const {
  Batch samples = ids_->batch(first, count);
  for (at::Tensor& ids : samples.inputs) {
    const std::int64_t bits = ids.scalar_type() == at::kShort ? 0xffff : 0xffffffff;
    ids = ids.to(at::kLong).bitwise_and_(bits);
  }
  return samples;
}

PixelValues::PixelValues(const DataSet& data) : data_(data), table_(data.normalization.mean.size()) {
  for (std::size_t c = 0; c < table_.size(); ++c) {
    for (std::size_t p = 0; p < 256; ++p) table_[c][p] = normalized(c, static_cast<double>(p) / 255);
  }
}

Images::Images(std::shared_ptr<const DataSet> data, at::Device device)
    : data_(std::move(data)),
      device_(device),
      mean_(per_channel(data_->normalization.mean, device)),
      deviation_(per_channel(data_->normalization.deviation, device)),
      values_(*data_) {
  const auto [channels, height, width] = data_->shape;
  // from_blob takes a non-const pointer, but nothing is written through it.
  void* pixels = const_cast<std::byte*>(data_->pixels.bytes().data());
  pixels_ = at::from_blob(pixels, {size(), channels, height, width}, is_bytes() ? at::kByte : at::kFloat).to(device);
  labels_ = at::from_blob(const_cast<std::int64_t*>(data_->labels.data()), {size()}, at::kLong);
}

at::Tensor Images::normalized(std::int64_t first, std::int64_t count) const {
  at::Tensor pixels = pixels_.narrow(0, first, count).to(at::kDouble);
  if (is_bytes()) pixels.div_(255);
  return pixels.sub(mean_).div_(deviation_).to(at::kFloat);
}

Batch Images::batch(std::int64_t first, std::int64_t count) const {
  return {{normalized(first, count)}, labels_.narrow(0, first, count)};
}

Batch Images::read(std::int64_t first, std::int64_t count, std::span<float> out) const {
  values_.visit([&](const auto& value) {
    const auto pixels = static_cast<std::size_t>(data_->shape[1] * data_->shape[2]);
    std::size_t from = static_cast<std::size_t>(first) * data_->image_size();
    float* to = out.data();
    for (std::int64_t n = 0; n < count; ++n) {
      for (std::size_t c = 0; c < data_->normalization.mean.size(); ++c) {
        for (std::size_t p = 0; p < pixels; ++p) *to++ = value(c, from++);
      }
    }
  });
  return {{at::Tensor()}, labels_.narrow(0, first, count)};
}

Batch ImageInputs::batch(std::int64_t first, std::int64_t count) const {
  const Batch images = images_->batch(first, count);
  Batch samples{images.inputs};
  if (has_labels_) samples.inputs.push_back(images.targets.to(images.inputs.front().device()));
  return padded(std::move(samples), least_);
}

std::shared_ptr<const SampleSource> Images::subset(std::span<const std::int64_t> indices) const {
  return std::make_shared<Images>(std::make_shared<const DataSet>(lossatlas::subset(*data_, indices)), device_);
}

}  // namespace lossatlas
