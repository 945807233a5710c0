#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/utils.h>

#include "catch.h"
#include "checkpoint/files.h"
#include "models/network.h"

using namespace lossatlas;
using namespace lossatlas::testing;

namespace {

/// A convolution, batch norm and a linear layer; never run.
class SmallNetwork : public Network {
 public:
  SmallNetwork() {
    torch::NoGradGuard no_gradients;
    register_module("conv", torch::nn::Conv2d(1, 2, 3));
    register_module("bn", torch::nn::BatchNorm2d(2));
    register_module("linear", torch::nn::Linear(2, 3));
  }
  torch::Tensor forward(torch::Tensor images) override { return images; }
};

Checkpoint checkpoint_for(const Network& network) {
  const NetworkTensors state = state_of(network);
  Checkpoint checkpoint;
  for (const auto& tensors : {state.parameters, state.buffers}) {
    for (const NamedTensor& tensor : tensors) {
      checkpoint.tensors.push_back({tensor.name, torch::full_like(tensor.tensor, 3).detach()});
    }
  }
  return checkpoint;
}

void erase(Checkpoint& checkpoint, const std::string& name) {
  std::erase_if(checkpoint.tensors, [&](const NamedTensor& tensor) { return tensor.name == name; });
}

std::string misfit(const Checkpoint& checkpoint, Network& network) {
  try {
    load_into(checkpoint, state_of(network), "small", "run/a.pt");
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace

TEST_CASE("a checkpoint is copied into the network, in the network's type") {
  SmallNetwork network;
  Checkpoint checkpoint = checkpoint_for(network);
  for (NamedTensor& tensor : checkpoint.tensors) {
    tensor.tensor = tensor.tensor.to(torch::kHalf);
  }
  load_into(checkpoint, state_of(network), "small", "a.pt");
  const NetworkTensors state = state_of(network);
  CHECK(same(find(state.parameters, "conv.weight"), torch::full({2, 1, 3, 3}, 3.F)));
  CHECK(find(state.parameters, "conv.weight").requires_grad());
  CHECK(same(find(state.buffers, "bn.running_var"), torch::full({2}, 3.F)));
  CHECK(same(find(state.buffers, "bn.num_batches_tracked"), torch::tensor(3, torch::kLong)));
  checkpoint.tensors[0].tensor.zero_();
  CHECK(find(state_of(network).parameters, "conv.weight").sum().item<float>() == 54);
}

TEST_CASE("num_batches_tracked may be missing") {
  SmallNetwork network;
  Checkpoint checkpoint = checkpoint_for(network);
  erase(checkpoint, "bn.num_batches_tracked");
  CHECK(misfit(checkpoint, network).empty());
}

TEST_CASE("tensors that do not fit are named, and the network is left alone") {
  SmallNetwork network;
  Checkpoint checkpoint = checkpoint_for(network);
  const torch::Tensor before = find(state_of(network).parameters, "conv.weight").clone();
  find(checkpoint.tensors, "conv.bias").resize_({5});
  erase(checkpoint, "bn.weight");
  CHECK(misfit(checkpoint, network) ==
        "run/a.pt does not fit small: conv.bias is [5] there, [2] in the network; missing: bn.weight [2]");
  checkpoint.tensors.push_back({"fc.weight", ramp({2, 2})});
  erase(checkpoint, "linear.bias");
  erase(checkpoint, "linear.weight");
  const std::string message = misfit(checkpoint, network);
  CHECK_THAT(message, Catch::Matchers::EndsWith(
                          "missing: bn.weight [2], linear.weight [3, 2], linear.bias [3]; unknown to the network: "
                          "fc.weight [2, 2]"));
  erase(checkpoint, "conv.bias");
  CHECK(find(state_of(network).parameters, "conv.weight").equal(before));
}

TEST_CASE("the first five of what is missing and of what is unknown are named") {
  SmallNetwork network;
  Checkpoint checkpoint = checkpoint_for(network);
  erase(checkpoint, "linear.bias");  // or the prefix would be stripped
  for (NamedTensor& tensor : checkpoint.tensors) tensor.name.insert(0, "_orig_mod.");
  CHECK_THAT(misfit(checkpoint, network),
             Catch::Matchers::EndsWith(
                 "missing: conv.weight [2, 1, 3, 3], conv.bias [2], bn.weight [2], bn.bias [2], linear.weight [3, 2], "
                 "and 3 more; unknown to the network: _orig_mod.conv.weight [2, 1, 3, 3], _orig_mod.conv.bias [2], "
                 "_orig_mod.bn.weight [2], _orig_mod.bn.bias [2], _orig_mod.linear.weight [3, 2], and 3 more"));
}

TEST_CASE("what the network does not know is named") {
  SmallNetwork network;
  Checkpoint checkpoint = checkpoint_for(network);
  checkpoint.tensors.push_back({"fc.weight", ramp({2, 2})});
  CHECK(misfit(checkpoint, network) == "run/a.pt does not fit small: unknown to the network: fc.weight [2, 2]");
}
