#include "evaluation/batches.h"

#include <ATen/ops/from_blob.h>
#include <ATen/ops/tensor.h>

namespace lossatlas {
namespace {

at::Tensor per_channel(const std::vector<double>& values, at::Device device) {
  return at::tensor(values, at::kDouble).view({1, -1, 1, 1}).to(device);
}

}  // namespace

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

Batches::Batches(std::shared_ptr<const DataSet> data, at::Device device)
    : data_(std::move(data)),
      device_(device),
      mean_(per_channel(data_->normalization.mean, device)),
      deviation_(per_channel(data_->normalization.deviation, device)),
      table_(pixel_table(data_->normalization)) {
  const auto [channels, height, width] = data_->shape;
  // from_blob wants a pointer to non-const; nothing writes through it.
  pixels_ = at::from_blob(const_cast<std::uint8_t*>(data_->pixels.data()), {size(), channels, height, width}, at::kByte)
                .to(device);
}

at::Tensor Batches::batch(std::int64_t first, std::int64_t count) const {
  const auto pixels = pixels_.narrow(0, first, count).to(at::kDouble);
  return pixels.div(255).sub_(mean_).div_(deviation_).to(at::kFloat);
}

void Batches::read(std::int64_t first, std::int64_t count, std::span<float> out) const {
  const auto pixels = static_cast<std::size_t>(data_->shape[1] * data_->shape[2]);
  const std::uint8_t* from = data_->pixels.data() + static_cast<std::size_t>(first) * data_->image_bytes();
  float* to = out.data();
  for (std::int64_t n = 0; n < count; ++n) {
    for (const auto& values : table_) {
      for (std::size_t p = 0; p < pixels; ++p) *to++ = values[*from++];
    }
  }
}

std::span<const std::int64_t> Batches::labels(std::int64_t first, std::int64_t count) const {
  return std::span(data_->labels).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
}

}  // namespace lossatlas
