#pragma once

#include <torch/nn/init.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/pooling.h>
#include <torch/utils.h>

#include <cstdint>

namespace lossatlas {

/// 3x3, one pixel of padding, no bias: the batch norm behind it has one.
torch::nn::Conv2d conv3x3(std::int64_t in, std::int64_t out, std::int64_t stride = 1);

/// 1x1, no bias.
torch::nn::Conv2d conv1x1(std::int64_t in, std::int64_t out, std::int64_t stride = 1);

/// Mean over all pixels, [N, C, H, W] to [N, C]. Li et al.'s networks pool 4x4 or 8x8 pixels, which is all there are
/// of a 32x32 image.
torch::Tensor pool_all(const torch::Tensor& maps);

}  // namespace lossatlas
