// Networks of linear layers only: the images are flattened, so any size will do.
#include "models/family.h"
#include "models/layers.h"

namespace lossatlas {
namespace {

std::int64_t pixels(const NetworkSpec& spec) { return spec.input[0] * spec.input[1] * spec.input[2]; }

class Mlp : public Network {
 public:
  explicit Mlp(const NetworkSpec& spec)
      : fc1_(register_module("fc1", torch::nn::Linear(pixels(spec), hidden))),
        fc2_(register_module("fc2", torch::nn::Linear(hidden, hidden))),
        fc3_(register_module("fc3", torch::nn::Linear(hidden, spec.classes))) {}

  torch::Tensor forward(torch::Tensor images) override {
    const torch::Tensor x = fc1_(torch::flatten(images, 1)).relu_();
    return fc3_(fc2_(x).relu_());
  }

 private:
  static constexpr std::int64_t hidden = 256;

  torch::nn::Linear fc1_;
  torch::nn::Linear fc2_;
  torch::nn::Linear fc3_;
};

// Softmax regression. Its loss is convex, which makes it the first thing to look at.
class LinearClassifier : public Network {
 public:
  explicit LinearClassifier(const NetworkSpec& spec)
      : linear_(register_module("linear", torch::nn::Linear(pixels(spec), spec.classes))) {}

  torch::Tensor forward(torch::Tensor images) override { return linear_(torch::flatten(images, 1)); }

 private:
  torch::nn::Linear linear_;
};

}  // namespace

Family perceptrons() {
  const auto mlp = [](const NetworkSpec& spec) { return std::make_shared<Mlp>(spec); };
  const auto linear = [](const NetworkSpec& spec) { return std::make_shared<LinearClassifier>(spec); };
  const std::array<std::int64_t, 3> mnist{1, 28, 28};
  return {
      {describe("mlp", "two hidden layers of 256 ReLUs on the flattened image", 0, 10, mnist), 1, mlp},
      {describe("linear", "softmax regression: one linear layer on the flattened image", 0, 10, mnist), 1, linear},
  };
}

}  // namespace lossatlas
