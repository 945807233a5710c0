#include "evaluation/engines/eager.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <utility>

namespace lossatlas {
namespace {

class EagerObjective : public Objective {
 public:
  EagerObjective(std::unique_ptr<Program> program, std::shared_ptr<const Criterion> criterion,
                 std::shared_ptr<const SampleSource> samples, std::int64_t batch_size)
      : Objective(std::move(criterion), std::move(samples), batch_size), program_(std::move(program)) {}

  Capabilities capabilities() const override { return {.gradient = true, .per_sample = true}; }

  void load(const NetworkTensors& state) override { program_->load(state); }

 private:
  void add_batches(const SampleSource& samples, SampleRange range, Tally& tally, NetworkState* gradient) override {
    for (const at::Tensor& parameter : program_->parameters()) parameter.requires_grad_(gradient != nullptr);
    for_batches(range, [&](std::int64_t first, std::int64_t count) {
      const Batch batch = samples.batch(first, count);
      const auto [outputs, targets] = without_padding(program_->run(batch), batch);
      criterion().add(outputs.detach(), targets, tally);
      if (gradient) add_gradient(criterion().losses(outputs, targets.to(outputs.device())).sum(), *gradient);
    });
  }

  void add_gradient(const at::Tensor& loss, const NetworkState& gradient) const {
    const auto parts = torch::autograd::grad({loss}, program_->parameters(), /*grad_outputs=*/{},
                                             /*retain_graph=*/{}, /*create_graph=*/false, /*allow_unused=*/true);
    const at::NoGradGuard no_gradients;
    for (std::size_t p = 0; p < parts.size(); ++p) {
      if (parts[p].defined()) gradient.parameters[p].tensor.add_(parts[p]);  // else the loss does not depend on it
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
