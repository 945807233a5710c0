#include "evaluation/recalibration.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <torch/nn/modules/batchnorm.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/error.h"
#include "evaluation/engines/fused.h"
#include "evaluation/samples.h"
#include "fused/lowering.h"
#include "fused/plan.h"
#include "models/network.h"
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

/// The network with batch norm in training mode and everything else in evaluation mode.
std::shared_ptr<Network> make_recalibrated(const NetworkSpec& spec, at::Device device) {
  check_recalibration(spec);
  auto network = make_network(spec);
  network->to(device);
  network->eval();
  for (at::Tensor& parameter : network->parameters()) parameter.requires_grad_(false);
  for_each_batch_norm(*network, [](auto& norm) { norm.train(); });
  return network;
}

class EagerRecalibration : public Recalibration {
 public:
  EagerRecalibration(const NetworkSpec& network, std::shared_ptr<const SampleSource> images, at::Device device)
      : images_(std::move(images)), network_(make_recalibrated(network, device)), own_(state_of(*network_)) {}

  NetworkTensors apply(const NetworkTensors& state) override {
    const at::NoGradGuard no_gradients;
    use_tensors(own_.parameters, state.parameters);
    for_each_batch_norm(*network_, [](auto& norm) { norm.reset_running_stats(); });
    for (std::int64_t first = 0; first < images_->size(); first += kBatch) {
      const std::int64_t count = std::min(kBatch, images_->size() - first);
      // The running average of all images so far.
      const double share = static_cast<double>(count) / static_cast<double>(first + count);
      for_each_batch_norm(*network_, [&](auto& norm) { norm.options.momentum(share); });
      network_->forward(images_->batch(first, count).inputs.front());
    }
    return {state.parameters, own_.buffers};
  }

 private:
  std::shared_ptr<const SampleSource> images_;
  std::shared_ptr<Network> network_;
  NetworkTensors own_;
};

/// Σ over the batches of share * statistic, in double.
struct Averages {
  std::vector<double> means, variances;

  void add(const Moments& moments, double share, std::size_t channels) {
    means.resize(channels);
    variances.resize(channels);
    const auto count = static_cast<double>(moments.count);
    if (moments.count < 2)
      throw Error("batch norm: one value in the last batch gives no variance; choose another `bn_images`");
    for (std::size_t c = 0; c < channels; ++c) {
      means[c] += share * moments.means[c];
      variances[c] += share * moments.squares[c] / (count - 1);  // unbiased, as PyTorch's running variances are
    }
  }
};

class FusedRecalibration : public Recalibration {
 public:
  FusedRecalibration(std::shared_ptr<const Graph> graph, std::shared_ptr<const SampleSource> images, InstructionSet set)
      : images_(std::move(images)), graph_(std::move(graph)), plan_(graph_, {set, std::min(kBatch, images_->size())}) {
    const std::int64_t pixels = std::min(kBatch, images_->size()) * graph_->nodes.front().shape.size();
    pixels_.resize(static_cast<std::size_t>(pixels));
    logits_.resize(static_cast<std::size_t>(kBatch * plan_.classes()));
  }

  NetworkTensors apply(const NetworkTensors& state) override {
    std::vector<Averages> averages(graph_->nodes.size());
    const auto all = static_cast<double>(images_->size());
    const ImageShape& image = graph_->nodes.front().shape;
    plan_.load(tensors_of(state));
    for (std::int64_t first = 0; first < images_->size(); first += kBatch) {
      const std::int64_t count = std::min(kBatch, images_->size() - first);
      images_->read(first, count, pixels_);
      plan_.run({.data = pixels_.data(),
                 .images = count,
                 .channels = image.channels,
                 .height = image.height,
                 .width = image.width},
                logits_);
      for (const std::size_t node : measured()) {
        averages[node].add(plan_.moments()[node], static_cast<double>(count) / all,
                           static_cast<std::size_t>(graph_->nodes[node].shape.channels));
      }
    }
    NetworkTensors found = state;
    for (const std::size_t node : measured()) {
      const BatchNorm& norm = *graph_->nodes[node].norm;
      replace(found, norm.mean, averages[node].means);
      replace(found, norm.variance, averages[node].variances);
    }
    return found;
  }

 private:
  std::vector<std::size_t> measured() const {
    std::vector<std::size_t> nodes;
    for (std::size_t node = 0; node < graph_->nodes.size(); ++node) {
      if (graph_->nodes[node].operation == Operation::moments) nodes.push_back(node);
    }
    return nodes;
  }
  /// Puts a tensor of these numbers in the place of a buffer.
  static void replace(NetworkTensors& state, TensorIndex index, const std::vector<double>& values) {
    state.buffers[index - state.parameters.size()].tensor = at::tensor(values, at::kFloat);
  }

  std::shared_ptr<const SampleSource> images_;
  std::shared_ptr<const Graph> graph_;
  Plan plan_;
  std::vector<float> pixels_, logits_;
};

}  // namespace

void check_recalibration(const NetworkSpec& network) {
  if (network.script.empty()) return;
  throw Error("{}: batch-norm statistics cannot be estimated again in a {} file; name its `arch`, or use `bn` stored",
              network.script.string(), network.file_kind());
}

std::unique_ptr<Recalibration> make_eager_recalibration(const NetworkSpec& network,
                                                        std::shared_ptr<const SampleSource> images, at::Device device) {
  return std::make_unique<EagerRecalibration>(network, std::move(images), device);
}

std::shared_ptr<const Graph> make_recalibration_graph(const NetworkSpec& spec) {
  const at::NoGradGuard no_gradients;
  check_recalibration(spec);
  const auto network = make_network(spec);
  network->eval();
  for (at::Tensor& parameter : network->parameters()) parameter.requires_grad_(false);
  auto graph = std::make_shared<const Graph>(fuse_with_moments(lower(*network, spec.input)));
  std::set<TensorIndex> known;
  for (const Node& node : graph->nodes) {
    const bool measures = node.operation == Operation::moments;
    if (measures && !known.insert(node.norm->mean).second) throw CannotLower("a batch norm that is used twice");
  }
  return graph;
}

std::unique_ptr<Recalibration> make_fused_recalibration(std::shared_ptr<const Graph> graph,
                                                        std::shared_ptr<const SampleSource> images,
                                                        InstructionSet set) {
  return std::make_unique<FusedRecalibration>(std::move(graph), std::move(images), set);
}

}  // namespace lossatlas
