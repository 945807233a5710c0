// VGG with batch norm for CIFAR, as Li et al. have it (tomgoldstein/loss-landscape, cifar10/models/vgg.py), after
// Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015.
#include <algorithm>

#include "models/family.h"
#include "models/layers.h"

namespace lossatlas {
namespace {

constexpr std::int64_t pool = 0;  // in a plan: halve the image

struct Plan {
  const char* name;
  std::vector<std::int64_t> steps;  // channels of a convolution, or pool
};

std::int64_t pools(const Plan& plan) { return std::count(plan.steps.begin(), plan.steps.end(), pool); }

class Vgg : public Network {
 public:
  Vgg(const Plan& plan, const NetworkSpec& spec) {
    register_module("features", features_);
    std::int64_t channels = spec.input[0];
    for (const std::int64_t step : plan.steps) {
      add_step(step, channels);
    }
    const std::int64_t pixels = pooled(spec.input[1], pools(plan)) * pooled(spec.input[2], pools(plan));
    fc_ = register_module("fc", torch::nn::Sequential(torch::nn::Linear(channels * pixels, channels),
                                                      torch::nn::BatchNorm1d(channels), in_place_relu()));
    classifier_ = register_module("classifier", torch::nn::Linear(channels, spec.classes));
  }

  torch::Tensor forward(torch::Tensor images) override {
    return classifier_(fc_->forward(torch::flatten(features_->forward(images), 1)));
  }

 private:
  static torch::nn::ReLU in_place_relu() { return torch::nn::ReLU(torch::nn::ReLUOptions(true)); }

  // An odd row or column gets a window of its own.
  static std::int64_t pooled(std::int64_t side, std::int64_t times) {
    for (; times > 0; --times) {
      side = (side + 1) / 2;
    }
    return side;
  }

  void add_step(std::int64_t step, std::int64_t& channels) {
    if (step == pool) {
      features_->push_back(torch::nn::MaxPool2d(torch::nn::MaxPool2dOptions(2).stride(2).ceil_mode(true)));
      return;
    }
    features_->push_back(torch::nn::Conv2d(torch::nn::Conv2dOptions(channels, step, 3).padding(1)));
    features_->push_back(torch::nn::BatchNorm2d(step));
    features_->push_back(in_place_relu());
    channels = step;
  }

  torch::nn::Sequential features_;
  torch::nn::Sequential fc_ = nullptr;
  torch::nn::Linear classifier_ = nullptr;
};

Architecture architecture(const Plan& plan, const std::string& authors) {
  const std::string name = plan.name;
  // The last pooling must still have two rows to pool.
  const std::int64_t smallest_image = (std::int64_t{1} << (pools(plan) - 1)) + 1;
  const auto make = [plan](const NetworkSpec& spec) { return std::make_shared<Vgg>(plan, spec); };
  return {describe(name, "VGG-" + name.substr(3) + " with batch norm for CIFAR (" + authors + ")"), smallest_image,
          make};
}

}  // namespace

Family vggs() {
  const std::string li = "Li et al., NeurIPS 2018";
  const std::string paper = "Simonyan and Zisserman, ICLR 2015; built as Li et al.'s";
  return {
      architecture({"vgg9", {64, 64, pool, 128, 128, pool, 256, 256, 256, pool}}, li),
      architecture({"vgg11", {64, pool, 128, pool, 256, 256, pool, 512, 512, pool, 512, 512, pool}}, paper),
      architecture({"vgg13", {64, 64, pool, 128, 128, pool, 256, 256, pool, 512, 512, pool, 512, 512, pool}}, paper),
      architecture(
          {"vgg16", {64, 64, pool, 128, 128, pool, 256, 256, 256, pool, 512, 512, 512, pool, 512, 512, 512, pool}}, li),
      architecture({"vgg19", {64,  64,  pool, 128, 128,  pool, 256, 256, 256, 256, pool,
                              512, 512, 512,  512, pool, 512,  512, 512, 512, pool}},
                   li),
  };
}

}  // namespace lossatlas
