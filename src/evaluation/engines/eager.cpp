#include "evaluation/engines/eager.h"

#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/where.h>
#include <torch/csrc/autograd/autograd.h>

#include <utility>

namespace lossatlas {
namespace {

class EagerObjective : public Objective {
 public:
  EagerObjective(std::unique_ptr<Program> program, std::shared_ptr<const Criterion> criterion,
                 std::shared_ptr<const SampleSource> samples, std::int64_t batch_size)
      : Objective(std::move(criterion), std::move(samples), batch_size), program_(std::move(program)) {}

  Capabilities capabilities() const override { return {.gradient = true, .hessian_vector = true, .per_sample = true}; }

  void load(const NetworkTensors& state) override { program_->load(state); }

 private:
  void add_batches(const SampleSource& samples, SampleRange range, Tally& tally, const Wanted& wanted) override {
    // Flash attention has no second derivative.
    if (wanted.product) at::globalContext().setSDPUseFlash(false);
    for (const at::Tensor& parameter : program_->parameters()) parameter.requires_grad_(wanted.differentiates());
    for_batches(range, [&](std::int64_t first, std::int64_t count) {
      const Batch batch = samples.batch(first, count);
      const at::Tensor outputs = program_->run(batch);
      criterion().add(outputs.detach(), batch, tally);
      if (wanted.differentiates()) differentiate(total_loss(outputs, batch), wanted);
    });
  }

  /// Σ w loss. What has no weight does not matter, even if it is not finite.
  at::Tensor total_loss(const at::Tensor& outputs, const Batch& batch) const {
    const at::Tensor losses = criterion().losses(outputs, batch), weights = criterion().weights(outputs, batch);
    return weights.defined() ? at::where(weights.ne(0), losses, 0).mul(weights).sum() : losses.sum();
  }

  void differentiate(const at::Tensor& loss, const Wanted& wanted) const {
    const auto gradient = derivatives(loss, wanted.product != nullptr);
    if (wanted.gradient) add(gradient, *wanted.gradient);
    if (!wanted.product) return;
    at::Tensor slope;  // along the direction
    for (std::size_t p = 0; p < gradient.size(); ++p) {
      if (!gradient[p].defined() || !gradient[p].requires_grad()) continue;
      const at::Tensor part = gradient[p].mul(wanted.direction->parameters[p].tensor).sum();
      slope = slope.defined() ? slope.add(part) : part;
    }
    if (slope.defined()) add(derivatives(slope, false), *wanted.product);
  }

  std::vector<at::Tensor> derivatives(const at::Tensor& value, bool again) const {
    return torch::autograd::grad({value}, program_->parameters(), /*grad_outputs=*/{},
                                 /*retain_graph=*/again, /*create_graph=*/again, /*allow_unused=*/true);
  }

  static void add(const std::vector<at::Tensor>& parts, const NetworkState& sum) {
    const at::NoGradGuard no_gradients;
    for (std::size_t p = 0; p < parts.size(); ++p) {
      if (parts[p].defined()) sum.parameters[p].tensor.add_(parts[p]);  // else the value does not depend on it
    }
  }

  std::unique_ptr<Program> program_;
};

}  // namespace

std::unique_ptr<Objective> make_eager_objective(std::unique_ptr<Program> program,
                                                std::shared_ptr<const Criterion> criterion,
                                                std::shared_ptr<const SampleSource> samples, std::int64_t batch_size) {
  return std::make_unique<EagerObjective>(std::move(program), std::move(criterion), std::move(samples), batch_size);
}

}  // namespace lossatlas
