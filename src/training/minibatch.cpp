#include "training/minibatch.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "base/philox.h"

namespace lossatlas {
namespace {

constexpr int kReach = 4;  // pixels that augmentation shifts at most

std::int64_t count_steps(std::int64_t images, std::int64_t batch_size) {
  const std::int64_t whole = images / batch_size, left = images % batch_size;
  return left > 1 || whole == 0 ? whole + 1 : whole + (batch_size == 1 ? left : 0);
}

}  // namespace

MinibatchSampler::MinibatchSampler(const DataSet& data, std::int64_t batch_size, std::uint64_t seed, bool augment)
    : data_(data),
      batch_size_(std::min(batch_size, static_cast<std::int64_t>(data.size()))),
      seed_(seed),
      augment_(augment),
      steps_(count_steps(static_cast<std::int64_t>(data.size()), batch_size_)),
      values_(data) {}

std::int64_t MinibatchSampler::images() const {
  return std::min(steps_ * batch_size_, static_cast<std::int64_t>(data_.size()));
}

Minibatch MinibatchSampler::at(std::int64_t epoch, std::int64_t step) {
  if (epoch != ordered_epoch_) {
    const auto count = static_cast<std::uint32_t>(data_.size());
    order_ = random_order(count, RandomStream(seed_, Purpose::shuffle, static_cast<std::uint64_t>(epoch)));
    ordered_epoch_ = epoch;
  }
  const std::int64_t first = step * batch_size_;
  const std::int64_t count = std::min(batch_size_, static_cast<std::int64_t>(data_.size()) - first);
  Minibatch batch{at::empty({count, data_.shape[0], data_.shape[1], data_.shape[2]}), at::empty({count}, at::kLong)};
  float* images = batch.images.data_ptr<float>();
  std::int64_t* labels = batch.labels.data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint32_t index = order_[static_cast<std::size_t>(first + i)];
    copy_image(epoch, index, images + i * static_cast<std::int64_t>(data_.image_size()));
    labels[i] = data_.labels[index];
  }
  return batch;
}

void MinibatchSampler::copy_image(std::int64_t epoch, std::uint32_t index, float* out) const {
  int down = 0, right = 0;
  bool flip = false;
  if (augment_) {
    RandomStream random(seed_, Purpose::augment, static_cast<std::uint64_t>(epoch) << 32 | index);
    down = static_cast<int>(random.below(2 * kReach + 1)) - kReach;
    right = static_cast<int>(random.below(2 * kReach + 1)) - kReach;
    flip = random.below(2) == 1;
  }
  const auto [channels, height, width] = data_.shape;
  const auto first = static_cast<std::int64_t>(index * data_.image_size());
  values_.visit([&](const auto& value) {
    for (std::int64_t c = 0; c < channels; ++c) {
      const auto channel = static_cast<std::size_t>(c);
      for (std::int64_t row = 0; row < height; ++row) {
        const std::int64_t from_row = row + down;
        for (std::int64_t column = 0; column < width; ++column) {
          const std::int64_t from_column = (flip ? width - 1 - column : column) + right;
          const bool within = from_row >= 0 && from_row < height && from_column >= 0 && from_column < width;
          const std::int64_t from = first + (c * height + from_row) * width + from_column;
          *out++ = within ? value(channel, static_cast<std::size_t>(from)) : values_.black(channel);
        }
      }
    }
  });
}

}  // namespace lossatlas
