#include "evaluation/recalibration.h"

#include <torch/nn/modules/batchnorm.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "models/registry.h"

namespace lossatlas {
namespace {

constexpr std::int64_t kBatch = 128;  // images whose mean and variance count as one estimate, as in training

/// f(batch norm) for each batch norm of the network, of any dimension.
template <class Function>
void for_each_batch_norm(Network& network, const Function& function) {
  for (const auto& module : network.modules()) {
    if (auto* two = module->as<torch::nn::BatchNorm2d>()) function(*two);
    if (auto* one = module->as<torch::nn::BatchNorm1d>()) function(*one);
  }
}

NetworkSpec checked(const NetworkSpec& network) {
  check_recalibration(network);
  return network;
}

}  // namespace

void check_recalibration(const NetworkSpec& network) {
  if (network.script.empty()) return;
  throw Error("{}: batch-norm statistics cannot be estimated anew in a TorchScript file; name its --arch, or take --bn stored",
              network.script.string());
}

Recalibration::Recalibration(const NetworkSpec& network, std::shared_ptr<const DataSet> images, torch::Device device)
    : images_(std::move(images), device), network_(make_network(checked(network))) {
  network_->to(device);
  network_->eval();
  for (torch::Tensor& parameter : network_->parameters()) parameter.requires_grad_(false);
  for_each_batch_norm(*network_, [](auto& norm) { norm.train(); });
  own_ = state_of(*network_);
}

NetworkState Recalibration::apply(const NetworkState& state) {
  const torch::NoGradGuard no_gradients;
  use_tensors(own_.parameters, state.parameters);
  for_each_batch_norm(*network_, [](auto& norm) { norm.reset_running_stats(); });
  for (std::int64_t first = 0; first < images_.size(); first += kBatch) {
    const std::int64_t count = std::min(kBatch, images_.size() - first);
    // The running average of all images so far.
    const double share = static_cast<double>(count) / static_cast<double>(first + count);
    for_each_batch_norm(*network_, [&](auto& norm) { norm.options.momentum(share); });
    network_->forward(images_.batch(first, count));
  }
  return {state.parameters, own_.buffers};
}

}  // namespace lossatlas
