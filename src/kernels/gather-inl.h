#pragma once

#include "kernels/passes-inl.h"
#include "kernels/vector-inl.h"

namespace lossatlas {
namespace {

/// One row of a product: the pixel at (y, x) of the image that starts at `image`, or zeros.
[[gnu::always_inline]] inline void gather_pixel(const Activations& in, const float* image, std::int64_t y,
                                                std::int64_t x, const Affine& affine, std::int64_t channel, float* to) {
  const bool inside = y >= 0 && y < in.height && x >= 0 && x < in.width;
  const float* from = image + (y * in.width + x) * kBlock;
#pragma GCC unroll 4
  for (int part = 0; part < kParts; ++part) {
    const int lane = part * kLanes;
    store(to + lane, inside ? apply(affine, channel + lane, load(from + lane)) : Vector{});
  }
}

void gather(const Activations& in, const Window& window, std::int64_t out_height, std::int64_t out_width,
            const Affine& affine, std::int64_t first, std::int64_t count, float* rows) {
  const std::int64_t image_size = in.height * in.width * kBlock;
  for (std::int64_t tap = 0; tap < window.taps(); ++tap) {
    const std::int64_t down = tap / window.width * window.dilation_y - window.padding_y;
    const std::int64_t right = tap % window.width * window.dilation_x - window.padding_x;
    for (std::int64_t block = 0; block < in.blocks; ++block) {
      std::int64_t x = first % out_width, y = first / out_width % out_height;
      const float* image = in.data + block * in.stride + first / out_width / out_height * image_size;
      float* to = rows + (tap * in.blocks + block) * staggered(count);
      for (std::int64_t left = count; left > 0; --left, to += kBlock) {
        gather_pixel(in, image, y * window.stride_y + down, x * window.stride_x + right, affine, block * kBlock, to);
        if (++x < out_width) continue;
        x = 0;
        if (++y < out_height) continue;
        y = 0;
        image += image_size;
      }
    }
  }
}

}  // namespace
}  // namespace lossatlas
