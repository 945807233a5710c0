// LeNet-5 (LeCun et al., "Gradient-Based Learning Applied to Document Recognition", 1998) as it is taught today: ReLU
// for the squashing functions, max pooling, a linear layer at the end. Names as in PyTorch's tutorials.
#include "models/family.h"
#include "models/layers.h"

namespace lossatlas {
namespace {

class LeNet : public Network {
 public:
  explicit LeNet(const NetworkSpec& spec)
      : conv1_(register_module("conv1", torch::nn::Conv2d(spec.input[0], 6, 5))),
        conv2_(register_module("conv2", torch::nn::Conv2d(6, 16, 5))),
        fc1_(register_module("fc1", torch::nn::Linear(16 * left(spec.input[1]) * left(spec.input[2]), 120))),
        fc2_(register_module("fc2", torch::nn::Linear(120, 84))),
        fc3_(register_module("fc3", torch::nn::Linear(84, spec.classes))) {}

  torch::Tensor forward(torch::Tensor images) override {
    torch::Tensor x = torch::max_pool2d(conv1_(images).relu_(), 2);
    x = torch::max_pool2d(conv2_(x).relu_(), 2);
    x = fc1_(torch::flatten(x, 1)).relu_();
    return fc3_(fc2_(x).relu_());
  }

 private:
  // Rows that are left of `side` after two 5x5 convolutions without padding, each halved by a pooling.
  static std::int64_t left(std::int64_t side) { return ((side - 4) / 2 - 4) / 2; }

  torch::nn::Conv2d conv1_;
  torch::nn::Conv2d conv2_;
  torch::nn::Linear fc1_;
  torch::nn::Linear fc2_;
  torch::nn::Linear fc3_;
};

}  // namespace

Family lenets() {
  const auto make = [](const NetworkSpec& spec) { return std::make_shared<LeNet>(spec); };
  const ArchitectureInfo info =
      describe("lenet", "LeNet-5 with ReLU and max pooling (after LeCun et al., 1998)", 0, 10, {1, 28, 28});
  constexpr std::int64_t smallest_image = 16;  // 16, 12, 6, 2, 1
  return {{info, smallest_image, make}};
}

}  // namespace lossatlas
