#include "evaluation/engines/eager.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <utility>

#include "models/network.h"
#include "models/registry.h"

namespace lossatlas {
namespace {

class EagerEvaluator : public Evaluator {
 public:
  EagerEvaluator(const EngineOptions& options, ImageSets images)
      : Evaluator(options, std::move(images)), network_(make_network(options.network)) {
    network_->eval();
    for (at::Tensor& parameter : network_->parameters()) parameter.requires_grad_(false);
    own_ = state_of(*network_);
  }

 private:
  void load(const NetworkState& state) override {
    use_tensors(own_.parameters, state.parameters);
    use_tensors(own_.buffers, state.buffers);
  }

  void add(const Batches& images, std::int64_t first, std::int64_t end, LossSum& sum) override {
    for_batches(first, end, [&](std::int64_t at, std::int64_t count) {
      const auto logits = network_->forward(images.batch(at, count)).to(at::kCPU).contiguous();
      sum.add({logits.data_ptr<float>(), static_cast<std::size_t>(logits.numel())}, images.labels(at, count));
    });
  }

  std::shared_ptr<Network> network_;
  NetworkState own_;
};

}  // namespace

std::unique_ptr<Evaluator> make_eager_evaluator(const EngineOptions& options, ImageSets images) {
  return std::make_unique<EagerEvaluator>(options, std::move(images));
}

bool gives_probabilities(const NetworkSpec& spec, std::shared_ptr<const DataSet> data) {
  if (spec.script.empty()) return false;
  const at::NoGradGuard no_gradients;
  constexpr std::int64_t kFew = 8;
  const Batches images(std::move(data), at::kCPU);
  const auto network = make_network(spec);
  network->eval();
  const at::Tensor rows = network->forward(images.batch(0, std::min(kFew, images.size())));
  return rows.min().item<double>() >= 0 && rows.sum(1).sub(1).abs().max().item<double>() < 1e-3;
}

}  // namespace lossatlas
