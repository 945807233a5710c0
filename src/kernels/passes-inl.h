#pragma once

#include "kernels/vector-inl.h"

namespace lossatlas {
namespace {

[[gnu::always_inline]] inline Vector apply(const Affine& affine, std::int64_t channel, Vector value) {
  if (affine.scale) value = value * load(affine.scale + channel) + load(affine.shift + channel);
  return affine.relu ? relu(value) : value;
}

/// The greater one; NaN where one is NaN.
[[gnu::always_inline]] inline Vector greater(Vector a, Vector b) { return ((b > a) | (b != b)) ? b : a; }

Vector pool_window(Pooling kind, const Activations& in, const float* image, const Window& window, std::int64_t top,
                   std::int64_t left) {
  Vector value = kind == Pooling::max ? broadcast(-__builtin_inff()) : Vector{};
  int inside = 0;
  for (std::int64_t i = 0; i < window.height; ++i) {
    const std::int64_t y = top + i * window.dilation_y;
    if (y < 0 || y >= in.height) continue;
    for (std::int64_t j = 0; j < window.width; ++j) {
      const std::int64_t x = left + j * window.dilation_x;
      if (x < 0 || x >= in.width) continue;
      const Vector pixel = load(image + (y * in.width + x) * kBlock);
      value = kind == Pooling::max ? greater(value, pixel) : value + pixel;
      ++inside;
    }
  }
  if (kind == Pooling::max) return value;
  const auto divisor = kind == Pooling::average ? static_cast<float>(window.taps()) : static_cast<float>(inside);
  return value / broadcast(divisor);
}

void pool(Pooling kind, const Activations& in, const Window& window, const Activations& out) {
  for (std::int64_t block = 0; block < out.blocks; ++block) {
    float* to = out.data + block * out.stride;
    for (std::int64_t n = 0; n < out.images; ++n) {
      const float* image = in.data + block * in.stride + n * in.height * in.width * kBlock;
      for (std::int64_t y = 0; y < out.height; ++y) {
        for (std::int64_t x = 0; x < out.width; ++x, to += kBlock) {
          for (int part = 0; part < kParts; ++part) {
            const int lane = part * kLanes;
            store(to + lane, pool_window(kind, in, image + lane, window, y * window.stride_y - window.padding_y,
                                         x * window.stride_x - window.padding_x));
          }
        }
      }
    }
  }
}

void transform(const Activations& in, const Affine& affine, const Activations& out) {
  const std::int64_t count = in.pixels() * kBlock;
  for (std::int64_t block = 0; block < in.blocks; ++block) {
    const float* from = in.data + block * in.stride;
    float* to = out.data + block * out.stride;
    for (std::int64_t i = 0; i < count; i += kLanes) {
      store(to + i, apply(affine, block * kBlock + i % kBlock, load(from + i)));
    }
  }
}

void add(const Activations& a, const Activations& b, bool with_relu, const Activations& out) {
  const std::int64_t count = a.pixels() * kBlock;
  for (std::int64_t block = 0; block < a.blocks; ++block) {
    for (std::int64_t i = 0; i < count; i += kLanes) {
      const Vector sum = load(a.data + block * a.stride + i) + load(b.data + block * b.stride + i);
      store(out.data + block * out.stride + i, with_relu ? relu(sum) : sum);
    }
  }
}

/// Adds f(vector) over the pixels of part of a block to the sums of its lanes.
template <class Function>
[[gnu::always_inline]] inline void add_up(const float* from, std::int64_t pixels, const Function& f, double* sums) {
  constexpr std::int64_t kRun = 64;  // pixels whose sum is in float32
  for (std::int64_t first = 0; first < pixels; first += kRun) {
    const std::int64_t end = first + kRun < pixels ? first + kRun : pixels;
    Vector even{}, odd{};
    std::int64_t p = first;
    for (; p + 2 <= end; p += 2) {
      even += f(load(from + p * kBlock));
      odd += f(load(from + (p + 1) * kBlock));
    }
    if (p < end) even += f(load(from + p * kBlock));
    const Vector sum = even + odd;
    for (int lane = 0; lane < kLanes; ++lane) sums[lane] += static_cast<double>(sum[lane]);
  }
}

void moments(const Activations& in, double* means, double* squares) {
  const std::int64_t pixels = in.pixels();
  const auto count = static_cast<double>(pixels);
  for (std::int64_t block = 0; block < in.blocks; ++block) {
    for (int part = 0; part < kParts; ++part) {
      const std::int64_t channel = block * kBlock + part * kLanes;
      const float* from = in.data + block * in.stride + part * kLanes;
      double sums[kLanes] = {}, rests[kLanes] = {};
      add_up(
          from, pixels, [](Vector x) { return x; }, sums);
      Vector centre{};
      for (int lane = 0; lane < kLanes; ++lane) centre[lane] = static_cast<float>(sums[lane] / count);
      add_up(
          from, pixels, [&](Vector x) { return (x - centre) * (x - centre); }, rests);
      for (int lane = 0; lane < kLanes; ++lane) {
        const double mean = sums[lane] / count, rounding = mean - static_cast<double>(centre[lane]);
        means[channel + lane] = mean;
        squares[channel + lane] = rests[lane] - count * rounding * rounding;
      }
    }
  }
}

}  // namespace
}  // namespace lossatlas
