#include "evaluation/engines/fused.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <utility>

#include "fused/lowering.h"
#include "fused/plan.h"
#include "models/network.h"

namespace lossatlas {
namespace {

PlanarImages planar(const float* data, std::int64_t images, const std::array<std::int64_t, 3>& shape) {
  return {.data = data, .images = images, .channels = shape[0], .height = shape[1], .width = shape[2]};
}

class FusedObjective : public Objective {
 public:
  FusedObjective(const FusedPart& part, const FusedOptions& options, std::shared_ptr<const SampleSource> all)
      : Objective(part.criterion, std::move(all), options.batch_size),
        image_(part.graph->nodes.front().shape),
        fixed_(part.fixed),
        plan_(part.graph, {options.instruction_set, options.batch_size, options.precision}),
        pixels_(static_cast<std::size_t>(options.batch_size * image_.size())),
        logits_(at::empty({options.batch_size, plan_.classes()})) {}

  Capabilities capabilities() const override { return {.per_sample = true}; }

  void load(const NetworkTensors& state) override { plan_.load(tensors_of(state, fixed_)); }

 private:
  void add_batches(const SampleSource& samples, SampleRange range, Tally& tally, const Wanted&) override {
    for_batches(range, [&](std::int64_t first, std::int64_t count) {
      const Batch batch = samples.read(first, count, pixels_);
      const std::int64_t rows = batch.weights.defined() ? batch.weights.size(0) : count;
      const at::Tensor logits = logits_.narrow(0, 0, rows);
      plan_.run(planar(pixels_.data(), rows, {image_.channels, image_.height, image_.width}),
                {logits.data_ptr<float>(), static_cast<std::size_t>(logits.numel())});
      criterion().add(logits, batch, tally);
    });
  }

  ImageShape image_;
  std::vector<NamedTensor> fixed_;
  Plan plan_;
  std::vector<float> pixels_;
  at::Tensor logits_;
};

void check(Network& network, const std::array<std::int64_t, 3>& input, const std::shared_ptr<const Graph>& graph) {
  constexpr std::int64_t kImages = 3;  // another number than that of the trace
  constexpr double kTolerance = 1e-3;  // of the largest logit: a mistake, not a rounding
  const auto [channels, height, width] = input;
  const auto pixels = at::arange(kImages * channels * height * width).remainder(251).div(125).sub(1);
  const auto images = pixels.view({kImages, channels, height, width}).contiguous();
  const auto wanted = network.forward(images).contiguous();
  auto got = at::empty_like(wanted);
  Plan plan(graph, {best_instruction_set(), kImages});
  plan.load(tensors_of(state_of(network)));
  plan.run(planar(images.data_ptr<float>(), kImages, input),
           {got.data_ptr<float>(), static_cast<std::size_t>(got.numel())});
  if (got.sub(wanted).abs().max().item<double>() > kTolerance * wanted.abs().max().item<double>()) {
    throw CannotLower("a network whose logits do not agree with LibTorch's");
  }
}

}  // namespace

void disturb(const std::vector<NamedTensor>& buffers) {
  for (const auto& [name, buffer] : buffers) {
    if (buffer.is_floating_point())
      buffer.add_(0.25 * (1 + at::arange(buffer.numel()).remainder(5)).view(buffer.sizes()));
  }
}

Tensors tensors_of(const NetworkTensors& state, const std::vector<NamedTensor>& fixed) {
  Tensors tensors;
  for (const auto* list : {&state.parameters, &state.buffers, &fixed}) {
    for (const auto& [name, tensor] : *list) {
      tensors.push_back(tensor.scalar_type() == at::kFloat ? tensor.data_ptr<float>() : nullptr);
    }
  }
  return tensors;
}

std::shared_ptr<const Graph> make_fused_graph(Network& network, const std::array<std::int64_t, 3>& input) {
  const at::NoGradGuard no_gradients;
  network.eval();
  for (at::Tensor& parameter : network.parameters()) parameter.requires_grad_(false);
  disturb(state_of(network).buffers);
  auto graph = std::make_shared<const Graph>(fuse(lower(network, input)));
  check(network, input, graph);
  return graph;
}

std::unique_ptr<Objective> make_fused_objective(const FusedPart& part, const FusedOptions& options,
                                                std::shared_ptr<const SampleSource> samples) {
  return std::make_unique<FusedObjective>(part, options, std::move(samples));
}

}  // namespace lossatlas
