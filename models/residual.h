#pragma once

#include <torch/nn/modules/container/sequential.h>

#include <cstdint>

namespace lossatlas {

/// The two blocks of He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, figure 5. The bottleneck
/// puts its stride on the 3x3 convolution, as torchvision and Li et al. do, and widens 4 times.
enum class BlockKind { basic, bottleneck };

/// What is added to a block's output. The first two compute the same, a 1x1 convolution and a batch norm where the
/// shape changes; the submodule's name differs, and checkpoints depend on it.
enum class Skip {
  shortcut,    // Li et al.'s name
  downsample,  // torchvision's name
  pad,   // He et al.'s option A, without parameters: every stride-th pixel, as many channels of zeros on both sides
  none,  // Li et al.'s -noshort networks; there a bottleneck does not end in a ReLU
};

struct StageShape {
  BlockKind kind = BlockKind::basic;
  Skip skip = Skip::shortcut;
  std::int64_t in = 0;      // channels
  std::int64_t planes = 0;  // channels of the 3x3 convolutions
  std::int64_t blocks = 0;
  std::int64_t stride = 1;  // of the first block
};

/// Channels that a block puts out for one of its planes.
std::int64_t expansion(BlockKind kind);

/// Blocks of equal planes, named 0, 1, …
torch::nn::Sequential make_stage(const StageShape& shape);

}  // namespace lossatlas
