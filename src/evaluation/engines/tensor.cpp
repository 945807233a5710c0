#include "evaluation/engines/tensor.h"

#include <ATen/ops/cat.h>

#include <utility>
#include <vector>

#include "fused/tensor_plan.h"

namespace lossatlas {
namespace {

class TensorEvaluator : public Evaluator {
 public:
  TensorEvaluator(const EngineOptions& options, std::shared_ptr<const Graph> graph, ImageSets sets)
      : Evaluator(options, std::move(sets)), plan_(std::move(graph), images().first->device(), options.precision) {}

 private:
  void load(const NetworkState& state) override {
    std::vector<at::Tensor> tensors;
    for (const auto* list : {&state.parameters, &state.buffers}) {
      for (const auto& [name, tensor] : *list) tensors.push_back(tensor);
    }
    plan_.load(tensors);
  }

  /// The device is given many batches before the results of the first are fetched, and so is never idle between them.
  void add(const Batches& images, std::int64_t first, std::int64_t end, LossSum& sum) override {
    constexpr std::size_t kMost = 64;  // batches
    std::vector<at::Tensor> waiting;
    std::int64_t fetched = first;
    for_batches(first, end, [&](std::int64_t at, std::int64_t count) {
      waiting.push_back(plan_.run(images.batch(at, count)));
      if (waiting.size() < kMost && at + count < end) return;
      const auto logits = at::cat(waiting).to(at::kCPU);
      sum.add({logits.data_ptr<float>(), static_cast<std::size_t>(logits.numel())},
              images.labels(fetched, at + count - fetched));
      fetched = at + count;
      waiting.clear();
    });
  }

  TensorPlan plan_;
};

}  // namespace

std::unique_ptr<Evaluator> make_tensor_evaluator(const EngineOptions& options, std::shared_ptr<const Graph> graph,
                                                 ImageSets images) {
  return std::make_unique<TensorEvaluator>(options, std::move(graph), std::move(images));
}

}  // namespace lossatlas
