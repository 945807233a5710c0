#include "evaluation/engines/eager.h"

#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace lossatlas {
namespace {

class EagerObjective : public Objective {
 public:
  EagerObjective(std::unique_ptr<Program> program, std::shared_ptr<const Criterion> criterion,
                 std::shared_ptr<const SampleSource> samples, std::int64_t batch_size)
      : Objective(std::move(criterion), std::move(samples), batch_size), program_(std::move(program)) {}

  Capabilities capabilities() const override { return {.gradient = true, .per_sample = true}; }

  void load(const NetworkState& state) override { program_->load(state); }

 private:
  void add_batches(const SampleSource& samples, SampleRange range, Tally& tally, std::span<float> gradient) override {
    for (at::Tensor parameter : program_->parameters()) parameter.requires_grad_(!gradient.empty());
    for_batches(range, [&](std::int64_t first, std::int64_t count) {
      const Batch batch = samples.batch(first, count);
      const auto [outputs, targets] = without_padding(program_->run(batch), batch);
      criterion().add(outputs.detach(), targets, tally);
      if (!gradient.empty()) add_gradient(criterion().losses(outputs, targets.to(outputs.device())).sum(), gradient);
    });
  }

  void add_gradient(const at::Tensor& loss, std::span<float> gradient) const {
    const auto parts = torch::autograd::grad({loss}, program_->parameters(), /*grad_outputs=*/{},
                                             /*retain_graph=*/{}, /*create_graph=*/false, /*allow_unused=*/true);
    std::size_t at = 0;
    for (std::size_t p = 0; p < parts.size(); ++p) {
      const auto count = static_cast<std::size_t>(program_->parameters()[p].numel());
      if (at + count > gradient.size()) throw std::logic_error("Objective: a gradient of fewer numbers");
      if (parts[p].defined()) {  // the loss depends on it
        const at::Tensor numbers = parts[p].to(at::kCPU, at::kFloat).contiguous();
        const float* from = numbers.data_ptr<float>();
        for (std::size_t i = 0; i < count; ++i) gradient[at + i] += from[i];
      }
      at += count;
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
