#include "evaluation/engines/tensor.h"

#include <ATen/ops/cat.h>

#include <utility>
#include <vector>

#include "fused/tensor_plan.h"

namespace lossatlas {
namespace {

class TensorObjective : public Objective {
 public:
  TensorObjective(const FusedPart& part, const FusedOptions& options, at::Device device,
                  std::shared_ptr<const SampleSource> samples)
      : Objective(part.criterion, std::move(samples), options.batch_size),
        plan_(part.graph, device, options.precision) {
    for (const auto& [name, tensor] : part.fixed) fixed_.push_back(tensor.to(device));
  }

  Capabilities capabilities() const override { return {.per_sample = true}; }

  void load(const NetworkTensors& state) override {
    std::vector<at::Tensor> tensors;
    for (const auto* list : {&state.parameters, &state.buffers}) {
      for (const auto& [name, tensor] : *list) tensors.push_back(tensor);
    }
    tensors.insert(tensors.end(), fixed_.begin(), fixed_.end());
    plan_.load(tensors);
  }

 private:
  /// The device is given many batches before the results of the first are fetched, and so is never idle between them.
  void add_batches(const SampleSource& samples, SampleRange range, Tally& tally, const Wanted&) override {
    constexpr std::size_t kMost = 64;  // batches
    std::vector<std::pair<Batch, at::Tensor>> waiting;
    for_batches(range, [&](std::int64_t first, std::int64_t count) {
      Batch batch = samples.batch(first, count);
      at::Tensor logits = plan_.run(std::exchange(batch.inputs.front(), {}));
      waiting.emplace_back(std::move(batch), std::move(logits));
      if (waiting.size() < kMost && first + count < range.end) return;
      fetch(waiting, tally);
    });
  }

  /// All logits in one transfer.
  void fetch(std::vector<std::pair<Batch, at::Tensor>>& waiting, Tally& tally) const {
    std::vector<at::Tensor> parts;
    for (const auto& [batch, logits] : waiting) parts.push_back(logits);
    const at::Tensor all = at::cat(parts).to(at::kCPU);
    std::int64_t first = 0;
    for (const auto& [batch, logits] : waiting) {
      criterion().add(all.narrow(0, first, logits.size(0)), batch, tally);
      first += logits.size(0);
    }
    waiting.clear();
  }

  TensorPlan plan_;
  std::vector<at::Tensor> fixed_;
};

}  // namespace

std::unique_ptr<Objective> make_tensor_objective(const FusedPart& part, const FusedOptions& options, at::Device device,
                                                 std::shared_ptr<const SampleSource> samples) {
  return std::make_unique<TensorObjective>(part, options, device, std::move(samples));
}

}  // namespace lossatlas
