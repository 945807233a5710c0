// The ImageNet ResNets of torchvision (torchvision/models/resnet.py): its parameter names and its initialization.
#include <array>

#include "models/family.h"
#include "models/layers.h"
#include "models/residual.h"

namespace lossatlas {
namespace {

struct Depth {
  const char* name;
  BlockKind kind;
  std::array<std::int64_t, 4> blocks;
};

class ResNet : public Network {
 public:
  ResNet(const Depth& depth, const NetworkSpec& spec)
      : conv1_(register_module("conv1", stem(spec.input[0], spec.width))),
        bn1_(register_module("bn1", torch::nn::BatchNorm2d(spec.width))) {
    std::int64_t channels = spec.width;
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      const std::int64_t planes = spec.width << i;
      stages_[i] = register_module("layer" + std::to_string(i + 1), make_stage({.kind = depth.kind,
                                                                                .skip = Skip::downsample,
                                                                                .in = channels,
                                                                                .planes = planes,
                                                                                .blocks = depth.blocks[i],
                                                                                .stride = i == 0 ? 1 : 2}));
      channels = planes * expansion(depth.kind);
    }
    fc_ = register_module("fc", torch::nn::Linear(channels, spec.classes));
    initialize_convolutions();
  }

  torch::Tensor forward(torch::Tensor images) override {
    torch::Tensor x = bn1_(conv1_(images)).relu_();
    x = torch::max_pool2d(x, /*kernel_size=*/3, /*stride=*/2, /*padding=*/1);
    for (torch::nn::Sequential& stage : stages_) {
      x = stage->forward(x);
    }
    return fc_(pool_all(x));
  }

 private:
  static torch::nn::Conv2d stem(std::int64_t in, std::int64_t out) {
    return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 7).stride(2).padding(3).bias(false));
  }

  // He et al., "Delving Deep into Rectifiers", ICCV 2015, with the fan of the backward pass. The layers' own
  // initialization runs before, as in Python, so that one seed gives both the same network.
  void initialize_convolutions() {
    for (const auto& module : modules(/*include_self=*/false)) {
      if (auto* conv = module->as<torch::nn::Conv2d>()) {
        torch::nn::init::kaiming_normal_(conv->weight, 0, torch::kFanOut, torch::kReLU);
      }
    }
  }

  torch::nn::Conv2d conv1_;
  torch::nn::BatchNorm2d bn1_;
  std::array<torch::nn::Sequential, 4> stages_{nullptr, nullptr, nullptr, nullptr};
  torch::nn::Linear fc_ = nullptr;
};

}  // namespace

Family resnets() {
  const Depth depths[] = {{"resnet18", BlockKind::basic, {2, 2, 2, 2}},
                          {"resnet34", BlockKind::basic, {3, 4, 6, 3}},
                          {"resnet50", BlockKind::bottleneck, {3, 4, 6, 3}}};
  Family family;
  for (const Depth& depth : depths) {
    const std::string name = depth.name;
    const std::string summary = "torchvision's ResNet-" + name.substr(6) + " for ImageNet (He et al., CVPR 2016)";
    const auto make = [depth](const NetworkSpec& spec) { return std::make_shared<ResNet>(depth, spec); };
    // The stem and the stages halve the image five times.
    family.push_back({describe(name, summary, 64, 1000, {3, 224, 224}), 32, make});
  }
  return family;
}

}  // namespace lossatlas
