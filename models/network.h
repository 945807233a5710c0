#pragma once

#include <torch/nn/module.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lossatlas {

/// What decides the shape of a network. The architecture is a name that architectures() lists.
struct NetworkSpec {
  std::string architecture;
  std::int64_t classes = 10;
  /// Channels of the first stage of a ResNet (the later stages follow); 0 means the published width.
  std::int64_t width = 0;
  /// Shape of one image, [C, H, W].
  std::array<std::int64_t, 3> input{3, 32, 32};
  /// The TorchScript file of architecture "torchscript"; empty for others.
  std::filesystem::path script{};
};

/// The entries of a file's settings that name the network: arch, classes, width.
nlohmann::json settings_of(const NetworkSpec& spec);

/// A network that classifies images.
class Network : public torch::nn::Module {
 public:
  /// images [N, C, H, W] float, normalized; returns logits [N, classes], softmax not applied.
  virtual torch::Tensor forward(torch::Tensor images) = 0;
};

struct NamedTensor {
  std::string name;
  torch::Tensor tensor;
};

/// Everything that decides what a network computes, in the order in which Python's state_dict() and
/// parameters() list it. The tensors are the network's own, not copies.
struct NetworkState {
  std::vector<NamedTensor> parameters;
  std::vector<NamedTensor> buffers;  // batch-norm statistics: running_mean, running_var, num_batches_tracked
};

NetworkState state_of(const Network& network);

/// Parameters, then buffers: the state_dict.
std::vector<NamedTensor> all_tensors(const NetworkState& state);

/// Makes tensors of a network use the memory of `given`, the same list of another state: nothing is copied.
void use_tensors(const std::vector<NamedTensor>& own, const std::vector<NamedTensor>& given);

/// Sum of the parameters' element counts.
std::int64_t count_parameters(const Network& network);

}  // namespace lossatlas
