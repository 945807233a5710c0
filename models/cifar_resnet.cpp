// The CIFAR ResNets of Li et al., "Visualizing the Loss Landscape of Neural Nets", NeurIPS 2018
// (tomgoldstein/loss-landscape, cifar10/models/resnet.py): its parameter names, with and without skip connections.
#include <fmt/format.h>

#include "models/family.h"
#include "models/layers.h"
#include "models/residual.h"

namespace lossatlas {
namespace {

struct Shape {
  BlockKind kind = BlockKind::basic;
  Skip skip = Skip::shortcut;
  std::vector<std::int64_t> blocks;  // of each stage
};

class CifarResNet : public Network {
 public:
  CifarResNet(const Shape& shape, const NetworkSpec& spec)
      : conv1_(register_module("conv1", conv3x3(spec.input[0], spec.width))),
        bn1_(register_module("bn1", torch::nn::BatchNorm2d(spec.width))) {
    std::int64_t channels = spec.width;
    for (std::size_t i = 0; i < shape.blocks.size(); ++i) {
      const std::int64_t planes = spec.width << i;
      stages_.push_back(register_module("layer" + std::to_string(i + 1), make_stage({.kind = shape.kind,
                                                                                     .skip = shape.skip,
                                                                                     .in = channels,
                                                                                     .planes = planes,
                                                                                     .blocks = shape.blocks[i],
                                                                                     .stride = i == 0 ? 1 : 2})));
      channels = planes * expansion(shape.kind);
    }
    linear_ = register_module("linear", torch::nn::Linear(channels, spec.classes));
  }

  torch::Tensor forward(torch::Tensor images) override {
    torch::Tensor x = bn1_(conv1_(images)).relu_();
    for (torch::nn::Sequential& stage : stages_) {
      x = stage->forward(x);
    }
    return linear_(pool_all(x));
  }

 private:
  torch::nn::Conv2d conv1_;
  torch::nn::BatchNorm2d bn1_;
  std::vector<torch::nn::Sequential> stages_;
  torch::nn::Linear linear_ = nullptr;
};

Architecture architecture(const std::string& name, const std::string& summary, std::int64_t width, const Shape& shape) {
  // Every stage but the first halves the image.
  const std::int64_t smallest_image = std::int64_t{1} << (shape.blocks.size() - 1);
  const auto make = [shape](const NetworkSpec& spec) { return std::make_shared<CifarResNet>(shape, spec); };
  return {describe(name, summary, width), smallest_image, make};
}

void add_with_twin(Family& family, const std::string& name, const std::string& summary, std::int64_t width,
                   Shape shape) {
  family.push_back(architecture(name, summary, width, shape));
  shape.skip = Skip::none;
  family.push_back(architecture(name + "-noshort", summary + ", without skip connections", width, shape));
}

// Four stages, 64 channels: the ImageNet networks behind a stem that keeps the image's size.
void add_four_stages(Family& family) {
  const auto add = [&](int depth, BlockKind kind, std::vector<std::int64_t> blocks) {
    add_with_twin(family, fmt::format("resnet{}-cifar", depth),
                  fmt::format("ResNet-{} of four stages with a 3x3 stem for CIFAR (Li et al., NeurIPS 2018)", depth),
                  64, {kind, Skip::shortcut, std::move(blocks)});
  };
  add(18, BlockKind::basic, {2, 2, 2, 2});
  add(34, BlockKind::basic, {3, 4, 6, 3});
  add(50, BlockKind::bottleneck, {3, 4, 6, 3});
  add(101, BlockKind::bottleneck, {3, 4, 23, 3});
  add(152, BlockKind::bottleneck, {3, 8, 36, 3});
}

Shape three_stages(std::int64_t depth, Skip skip) {
  // The stem, the linear layer, and two convolutions a block.
  return {BlockKind::basic, skip, std::vector<std::int64_t>(3, (depth - 2) / 6)};
}

void add_three_stages(Family& family) {
  for (const std::int64_t depth : {20, 32, 44, 56, 110}) {
    const std::string name = fmt::format("resnet{}", depth);
    add_with_twin(family, name,
                  fmt::format("ResNet-{} for CIFAR (He et al., CVPR 2016, section 4.2; Li et al.)", depth), 16,
                  three_stages(depth, Skip::shortcut));
    family.push_back(architecture(
        name + "-a", fmt::format("ResNet-{} for CIFAR, shortcuts without parameters (He et al.'s option A)", depth), 16,
        three_stages(depth, Skip::pad)));
  }
}

void add_wide(Family& family) {
  constexpr const char* summary = "ResNet-{} for CIFAR, {} times as wide (Li et al., NeurIPS 2018)";
  for (const std::int64_t factor : {2, 4, 8}) {
    add_with_twin(family, fmt::format("wrn56-{}", factor), fmt::format(summary, 56, factor), 16 * factor,
                  three_stages(56, Skip::shortcut));
  }
  for (const std::int64_t factor : {2, 4}) {
    family.push_back(architecture(fmt::format("wrn110-{}-noshort", factor),
                                  fmt::format(summary, 110, factor) + ", without skip connections", 16 * factor,
                                  three_stages(110, Skip::none)));
  }
}

}  // namespace

Family cifar_resnets() {
  Family family;
  add_four_stages(family);
  add_three_stages(family);
  add_wide(family);
  return family;
}

}  // namespace lossatlas
