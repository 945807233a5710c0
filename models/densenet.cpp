// DenseNet for CIFAR, as Li et al. have it (tomgoldstein/loss-landscape, cifar10/models/densenet.py), after Huang et
// al., "Densely Connected Convolutional Networks", CVPR 2017.
#include <array>

#include "models/family.h"
#include "models/layers.h"

namespace lossatlas {
namespace {

constexpr std::int64_t growth = 32;  // channels that a layer adds

// The paper's DenseNet-B layer: a 1x1 convolution to 4 times the growth, then a 3x3.
class DenseLayer : public torch::nn::Module {
 public:
  explicit DenseLayer(std::int64_t in)
      : bn1_(register_module("bn1", torch::nn::BatchNorm2d(in))),
        conv1_(register_module("conv1", conv1x1(in, 4 * growth))),
        bn2_(register_module("bn2", torch::nn::BatchNorm2d(4 * growth))),
        conv2_(register_module("conv2", conv3x3(4 * growth, growth))) {}

  // The new channels come first; checkpoints depend on it.
  torch::Tensor forward(torch::Tensor x) {
    torch::Tensor out = conv1_(bn1_(x).relu_());
    out = conv2_(bn2_(out).relu_());
    return torch::cat({out, x}, 1);
  }

 private:
  torch::nn::BatchNorm2d bn1_;
  torch::nn::Conv2d conv1_;
  torch::nn::BatchNorm2d bn2_;
  torch::nn::Conv2d conv2_;
};

// Halves the channels and the image.
class Transition : public torch::nn::Module {
 public:
  explicit Transition(std::int64_t in)
      : bn_(register_module("bn", torch::nn::BatchNorm2d(in))), conv_(register_module("conv", conv1x1(in, in / 2))) {}

  torch::Tensor forward(torch::Tensor x) { return torch::avg_pool2d(conv_(bn_(x).relu_()), 2); }

 private:
  torch::nn::BatchNorm2d bn_;
  torch::nn::Conv2d conv_;
};

class DenseNet : public Network {
 public:
  DenseNet(const std::array<std::int64_t, 4>& layers, const NetworkSpec& spec) {
    std::int64_t channels = 2 * growth;
    conv1_ = register_module("conv1", conv3x3(spec.input[0], channels));
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const std::string number = std::to_string(i + 1);
      stages_.push_back(register_module("dense" + number, dense_stage(channels, layers[i])));
      channels += layers[i] * growth;
      if (i + 1 < layers.size()) {
        transitions_.push_back(register_module("trans" + number, std::make_shared<Transition>(channels)));
        channels /= 2;
      }
    }
    bn_ = register_module("bn", torch::nn::BatchNorm2d(channels));
    linear_ = register_module("linear", torch::nn::Linear(channels, spec.classes));
  }

  torch::Tensor forward(torch::Tensor images) override {
    torch::Tensor x = conv1_(images);
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      x = stages_[i]->forward(x);
      if (i < transitions_.size()) {
        x = transitions_[i]->forward(x);
      }
    }
    return linear_(pool_all(bn_(x).relu_()));
  }

 private:
  static torch::nn::Sequential dense_stage(std::int64_t channels, std::int64_t layers) {
    torch::nn::Sequential stage;
    for (std::int64_t i = 0; i < layers; ++i) {
      stage->push_back(std::make_shared<DenseLayer>(channels + i * growth));
    }
    return stage;
  }

  torch::nn::Conv2d conv1_ = nullptr;
  std::vector<torch::nn::Sequential> stages_;
  std::vector<std::shared_ptr<Transition>> transitions_;
  torch::nn::BatchNorm2d bn_ = nullptr;
  torch::nn::Linear linear_ = nullptr;
};

}  // namespace

Family densenets() {
  const auto make = [](const NetworkSpec& spec) {
    return std::make_shared<DenseNet>(std::array<std::int64_t, 4>{6, 12, 24, 16}, spec);
  };
  const ArchitectureInfo info = describe("densenet121", "DenseNet-121, growth 32, for CIFAR (Li et al., NeurIPS 2018)");
  constexpr std::int64_t smallest_image = 8;  // three transitions halve it
  return {{info, smallest_image, make}};
}

}  // namespace lossatlas
