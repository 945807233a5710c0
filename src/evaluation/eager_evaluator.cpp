#include "evaluation/eager_evaluator.h"

#include <torch/utils.h>

#include <algorithm>
#include <utility>

#include "models/registry.h"

namespace lossatlas {
namespace {

class EagerEvaluator : public Evaluator {
 public:
  EagerEvaluator(const EngineOptions& options, std::shared_ptr<const Batches> batches)
      : options_(options), batches_(std::move(batches)), network_(make_network(options.network)) {
    network_->eval();
    for (torch::Tensor& parameter : network_->parameters()) parameter.requires_grad_(false);
    own_ = state_of(*network_);
  }

  Evaluation evaluate(const NetworkState& state) override {
    const torch::NoGradGuard no_gradients;
    bind(own_.parameters, state.parameters);
    bind(own_.buffers, state.buffers);
    LossSum sum(options_.loss);
    for (std::int64_t first = 0; first < batches_->size(); first += options_.batch_size) {
      const std::int64_t count = std::min(options_.batch_size, batches_->size() - first);
      const auto logits = network_->forward(batches_->batch(first, count)).to(torch::kCPU).contiguous();
      sum.add({logits.data_ptr<float>(), static_cast<std::size_t>(logits.numel())}, batches_->labels(first, count));
    }
    return sum.result(options_.population > 0 ? options_.population : batches_->size());
  }

 private:
  /// Makes the network use the given tensors themselves: nothing is copied.
  static void bind(std::vector<NamedTensor>& own, const std::vector<NamedTensor>& given) {
    if (own.size() != given.size()) throw std::logic_error("evaluate: another network's state");
    for (std::size_t i = 0; i < own.size(); ++i) own[i].tensor.set_data(given[i].tensor);
  }

  EngineOptions options_;
  std::shared_ptr<const Batches> batches_;
  std::shared_ptr<Network> network_;
  NetworkState own_;
};

}  // namespace

std::unique_ptr<Evaluator> make_eager_evaluator(const EngineOptions& options, std::shared_ptr<const Batches> batches) {
  return std::make_unique<EagerEvaluator>(options, std::move(batches));
}

}  // namespace lossatlas
