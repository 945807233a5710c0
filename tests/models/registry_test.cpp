#include "models/registry.h"

#include <torch/utils.h>

#include "base/error.h"
#include "catch.h"
#include "models/network.h"

using namespace lossatlas;

namespace {

std::string complaint(const NetworkSpec& spec) {
  try {
    make_network(spec);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

std::int64_t count(const NetworkSpec& spec) { return count_parameters(*make_network(spec)); }

std::vector<std::int64_t> answer_shape(const NetworkSpec& spec) {
  const torch::NoGradGuard no_grad;
  const auto network = make_network(spec);
  network->eval();
  return network->forward(torch::zeros({1, spec.input[0], spec.input[1], spec.input[2]})).sizes().vec();
}

std::int64_t channels_of(const Network& network, const std::string& name) {
  return network.named_parameters()[name].size(0);
}

}  // namespace

TEST_CASE("the published parameter counts") {
  CHECK(count({"resnet18", 1000, 0, {3, 224, 224}}) == 11'689'512);
  CHECK(count({"resnet18-cifar"}) == 11'173'962);
  CHECK(count({"lenet", 10, 0, {3, 32, 32}}) == 62'006);
  CHECK(count({"linear", 10, 0, {1, 28, 28}}) == 7'850);
}

TEST_CASE("architectures are listed with what their authors used") {
  for (const ArchitectureInfo& info : architectures()) {
    INFO("architecture " << info.name);
    CHECK(info.defaults.architecture == info.name);
    CHECK_FALSE(info.summary.empty());
    CHECK(info.summary.find('\n') == std::string::npos);
  }
  CHECK(architectures().front().name == "resnet18");
  CHECK(architectures().front().defaults.input == std::array<std::int64_t, 3>{3, 224, 224});
}

TEST_CASE("the width sets the first stage's channels, and the later stages follow") {
  const auto four = make_network({"resnet18-cifar", 10, 16});
  CHECK(channels_of(*four, "conv1.weight") == 16);
  CHECK(channels_of(*four, "layer1.0.conv1.weight") == 16);
  CHECK(channels_of(*four, "layer2.0.conv1.weight") == 32);
  CHECK(channels_of(*four, "layer3.0.shortcut.0.weight") == 64);
  CHECK(channels_of(*four, "layer4.1.conv2.weight") == 128);
  const auto bottleneck = make_network({"resnet50", 1000, 8, {3, 64, 64}});
  CHECK(channels_of(*bottleneck, "layer1.0.downsample.0.weight") == 32);
  CHECK(channels_of(*bottleneck, "layer4.2.conv3.weight") == 256);
  // A wide ResNet is a ResNet with more channels.
  CHECK(count({"wrn56-2", 10, 16}) == count({"resnet56"}));
  CHECK(count({"resnet56", 10, 32}) == count({"wrn56-2"}));
  CHECK(count({"resnet20", 10, 16}) == count({"resnet20"}));
  CHECK(answer_shape({"resnet20", 7, 3}) == std::vector<std::int64_t>{1, 7});
}

TEST_CASE("a width is refused where none can be chosen") {
  for (const char* name : {"vgg9", "densenet121", "lenet", "mlp", "linear"}) {
    CHECK_THAT(complaint({name, 10, 32}), ContainsSubstring("no width to choose"));
  }
  CHECK_THAT(complaint({"resnet20", 10, -1}), ContainsSubstring("width of 'resnet20'"));
  CHECK_THAT(complaint({"resnet20", 10, 1 << 20}), ContainsSubstring("width of 'resnet20'"));
}

TEST_CASE("an unknown name is refused, and the nearest one named") {
  CHECK(complaint({"resnet18cifar"}) ==
        "unknown architecture 'resnet18cifar', did you mean 'resnet18-cifar'? `lossatlas info --archs` lists them");
  CHECK_THAT(complaint({"resnet56_noshort"}), ContainsSubstring("'resnet56-noshort'?"));
  CHECK(complaint({"transformer"}) == "unknown architecture 'transformer': `lossatlas info --archs` lists them");
  CHECK_THAT(complaint({""}), ContainsSubstring("unknown architecture ''"));
}

TEST_CASE("images that leave a layer without a pixel are refused") {
  CHECK_THAT(complaint({"resnet18", 1000, 0, {3, 28, 28}}),
             ContainsSubstring("at least 32 by 32 pixels, these are 28 by 28"));
  CHECK_FALSE(complaint({"resnet18-cifar", 10, 8, {3, 8, 7}}).empty());
  CHECK_FALSE(complaint({"resnet20", 10, 0, {3, 3, 32}}).empty());
  CHECK_FALSE(complaint({"densenet121", 10, 0, {3, 7, 8}}).empty());
  CHECK_FALSE(complaint({"vgg16", 10, 0, {3, 16, 16}}).empty());
  CHECK_FALSE(complaint({"lenet", 10, 0, {1, 15, 15}}).empty());
  CHECK_FALSE(complaint({"mlp", 10, 0, {1, 0, 28}}).empty());
  CHECK_FALSE(complaint({"mlp", 10, 0, {0, 28, 28}}).empty());
  CHECK_FALSE(complaint({"linear", 10, 0, {1, -28, -28}}).empty());
}

TEST_CASE("images of the least size, and others than CIFAR's, are taken") {
  const std::vector<std::int64_t> ten{1, 10};
  CHECK(answer_shape({"resnet18", 10, 8, {3, 32, 33}}) == ten);
  CHECK(answer_shape({"resnet18-cifar", 10, 8, {1, 8, 8}}) == ten);
  CHECK(answer_shape({"resnet50-cifar-noshort", 10, 4, {3, 64, 48}}) == ten);
  CHECK(answer_shape({"resnet20", 10, 0, {1, 4, 4}}) == ten);
  CHECK(answer_shape({"resnet20-noshort", 10, 0, {1, 28, 28}}) == ten);
  CHECK(answer_shape({"densenet121", 10, 0, {1, 8, 8}}) == ten);
  CHECK(answer_shape({"vgg9", 10, 0, {1, 28, 28}}) == ten);
  CHECK(answer_shape({"vgg9", 10, 0, {3, 9, 9}}) == ten);
  CHECK(answer_shape({"vgg11", 10, 0, {3, 17, 40}}) == ten);
  CHECK(answer_shape({"lenet", 10, 0, {1, 16, 21}}) == ten);
  CHECK(answer_shape({"mlp", 10, 0, {2, 5, 3}}) == ten);
  CHECK(answer_shape({"linear", 10, 0, {1, 1, 1}}) == ten);
}

TEST_CASE("class counts without meaning are refused") {
  for (const std::int64_t classes : {-1, 0, 1, 1 << 30}) {
    CHECK_THAT(complaint({"linear", classes}), ContainsSubstring("can distinguish 2 to 65536 classes"));
  }
  CHECK(answer_shape({"linear", 2}) == std::vector<std::int64_t>{1, 2});
}

TEST_CASE("the state is the network's own tensors") {
  const torch::NoGradGuard no_grad;
  const auto network = make_network({"linear", 10, 0, {1, 2, 2}});
  const NetworkTensors state = state_of(*network);
  REQUIRE(state.parameters.size() == 2);
  CHECK(state.buffers.empty());
  state.parameters[0].tensor.zero_();
  state.parameters[1].tensor.fill_(3);
  CHECK(network->forward(torch::ones({1, 1, 2, 2}))[0][9].item<float>() == 3.0f);
}

TEST_CASE("the buffers are batch norm's, three a layer") {
  const NetworkTensors state = state_of(*make_network({"resnet20"}));
  REQUIRE(state.buffers.size() >= 3);
  CHECK(state.buffers[0].name == "bn1.running_mean");
  CHECK(state.buffers[1].name == "bn1.running_var");
  CHECK(state.buffers[2].name == "bn1.num_batches_tracked");
}

TEST_CASE("a network can be trained: every parameter gets a gradient") {
  for (const char* name : {"resnet18-cifar", "resnet50-cifar-noshort", "densenet121", "vgg9", "lenet", "mlp"}) {
    INFO("architecture " << name);
    const std::int64_t width = std::string(name).starts_with("resnet") ? 4 : 0;
    const auto network = make_network({name, 10, width});
    const torch::Tensor loss =
        torch::cross_entropy_loss(network->forward(torch::randn({4, 3, 32, 32})), torch::arange(4));
    loss.backward();
    for (const NamedTensor& parameter : state_of(*network).parameters) {
      INFO("parameter " << parameter.name);
      CHECK(parameter.tensor.grad().defined());
    }
  }
}
