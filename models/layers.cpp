#include "models/layers.h"

namespace lossatlas {
namespace {

torch::nn::Conv2d conv(std::int64_t in, std::int64_t out, std::int64_t size, std::int64_t stride) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, size).stride(stride).padding(size / 2).bias(false));
}

}  // namespace

torch::nn::Conv2d conv3x3(std::int64_t in, std::int64_t out, std::int64_t stride) { return conv(in, out, 3, stride); }

torch::nn::Conv2d conv1x1(std::int64_t in, std::int64_t out, std::int64_t stride) { return conv(in, out, 1, stride); }

torch::Tensor pool_all(const torch::Tensor& maps) {
  // flatten, not view: a trace must not hold the batch size as a number.
  return torch::flatten(torch::adaptive_avg_pool2d(maps, {1, 1}), 1);
}

}  // namespace lossatlas
