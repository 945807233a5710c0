#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/kernels.h"

namespace lossatlas::test {

/// Numbers in -1 … 1, the same in every run.
class Noise {
 public:
  explicit Noise(std::uint32_t seed = 1) : state_(seed * 2654435761U + 1) {}
  float next() {
    state_ = state_ * 1664525U + 1013904223U;
    return static_cast<float>(static_cast<double>(state_ >> 8) / 8388608.0 - 1.0);
  }
  std::vector<float> numbers(std::int64_t count) {
    std::vector<float> list(static_cast<std::size_t>(count));
    for (float& number : list) number = next();
    return list;
  }

 private:
  std::uint32_t state_;
};

inline std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }

/// Images [n][c][h][w] with a copy in blocks; each block is followed by a gap of NaN, which nothing may read.
struct BlockedImages {
  std::int64_t images, channels, height, width;
  std::vector<float> blocked;

  BlockedImages(std::int64_t n, std::int64_t c, std::int64_t h, std::int64_t w)
      : images(n), channels(c), height(h), width(w) {
    blocked.assign(at(blocks_of(c) * stride()), NAN);
    for (std::int64_t block = 0; block < blocks_of(c); ++block) {
      std::fill_n(blocked.begin() + block * stride(), n * h * w * kBlock, 0.0f);
    }
  }
  BlockedImages(std::int64_t n, std::int64_t c, std::int64_t h, std::int64_t w, Noise& noise)
      : BlockedImages(n, c, h, w) {
    for (std::int64_t image = 0; image < n; ++image) {
      for (std::int64_t channel = 0; channel < c; ++channel) {
        for (std::int64_t y = 0; y < h; ++y) {
          for (std::int64_t x = 0; x < w; ++x) value(image, channel, y, x) = noise.next();
        }
      }
    }
  }

  std::int64_t stride() const { return (images * height * width + 1) * kBlock; }
  float& value(std::int64_t n, std::int64_t c, std::int64_t y, std::int64_t x) {
    return blocked[at(c / kBlock * stride() + ((n * height + y) * width + x) * kBlock + c % kBlock)];
  }
  double padded(std::int64_t n, std::int64_t c, std::int64_t y, std::int64_t x) {
    if (y < 0 || y >= height || x < 0 || x >= width) return 0;
    return static_cast<double>(value(n, c, y, x));
  }
  Activations view() { return {blocked.data(), stride(), blocks_of(channels), images, height, width}; }
};

inline std::int64_t windows(std::int64_t size, std::int64_t window, std::int64_t stride, std::int64_t padding,
                            std::int64_t dilation) {
  return (size + 2 * padding - dilation * (window - 1) - 1) / stride + 1;
}

/// One output of a convolution with weights [outputs][channels][height][width], in double.
inline double convolution_at(BlockedImages& in, const std::vector<float>& weights, const Window& w, std::int64_t n,
                             std::int64_t o, std::int64_t y, std::int64_t x) {
  double sum = 0;
  for (std::int64_t c = 0; c < in.channels; ++c) {
    for (std::int64_t i = 0; i < w.height; ++i) {
      for (std::int64_t j = 0; j < w.width; ++j) {
        const auto weight = weights[at(((o * in.channels + c) * w.height + i) * w.width + j)];
        sum += static_cast<double>(weight) * in.padded(n, c, y * w.stride_y - w.padding_y + i * w.dilation_y,
                                                       x * w.stride_x - w.padding_x + j * w.dilation_x);
      }
    }
  }
  return sum;
}

}  // namespace lossatlas::test
