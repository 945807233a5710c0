#include "evaluation/engines/fused.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <utility>

#include "fused/lowering.h"
#include "fused/plan.h"
#include "models/network.h"
#include "models/registry.h"

namespace lossatlas {
namespace {

PlanarImages planar(const float* data, std::int64_t images, const std::array<std::int64_t, 3>& shape) {
  return {.data = data, .images = images, .channels = shape[0], .height = shape[1], .width = shape[2]};
}

class FusedEvaluator : public Evaluator {
 public:
  FusedEvaluator(const EngineOptions& options, std::shared_ptr<const Graph> graph, ImageSets sets)
      : Evaluator(options, std::move(sets)),
        batch_(std::min(options.batch_size, largest_set())),
        plan_(std::move(graph), {options.instruction_set, batch_, options.precision}) {
    pixels_.resize(static_cast<std::size_t>(batch_) * images().first->data().image_bytes());
    logits_.resize(static_cast<std::size_t>(batch_ * plan_.classes()));
  }

 private:
  void load(const NetworkState& state) override { plan_.load(tensors_of(state)); }

  std::int64_t largest_set() const {
    return std::max(images().first->size(), images().second ? images().second->size() : 0);
  }

  void add(const Batches& images, std::int64_t first, std::int64_t end, LossSum& sum) override {
    for_batches(first, end, [&](std::int64_t at, std::int64_t count) {
      images.read(at, count, pixels_);
      const auto logits = std::span(logits_).first(static_cast<std::size_t>(count * plan_.classes()));
      plan_.run(planar(pixels_.data(), count, options().network.input), logits);
      sum.add(logits, images.labels(at, count));
    });
  }

  std::int64_t batch_;
  Plan plan_;
  std::vector<float> pixels_, logits_;
};

/// Moves batch-norm statistics off 0 and 1, where a fault in their folding would not show.
void disturb(Network& network) {
  for (const auto& [name, buffer] : state_of(network).buffers) {
    if (buffer.is_floating_point())
      buffer.add_(0.25 * (1 + at::arange(buffer.numel()).remainder(5)).view(buffer.sizes()));
  }
}

void check(Network& network, const NetworkSpec& spec, const std::shared_ptr<const Graph>& graph) {
  constexpr std::int64_t kImages = 3;  // another number than that of the trace
  constexpr double kTolerance = 1e-3;  // of the largest logit: a mistake, not a rounding
  const auto [channels, height, width] = spec.input;
  const auto pixels = at::arange(kImages * channels * height * width).remainder(251).div(125).sub(1);
  const auto images = pixels.view({kImages, channels, height, width}).contiguous();
  const auto wanted = network.forward(images).contiguous();
  auto got = at::empty_like(wanted);
  Plan plan(graph, {best_instruction_set(), kImages});
  plan.load(tensors_of(state_of(network)));
  plan.run(planar(images.data_ptr<float>(), kImages, spec.input),
           {got.data_ptr<float>(), static_cast<std::size_t>(got.numel())});
  if (got.sub(wanted).abs().max().item<double>() > kTolerance * wanted.abs().max().item<double>()) {
    throw CannotLower("a network whose logits do not agree with LibTorch's");
  }
}

}  // namespace

Tensors tensors_of(const NetworkState& state) {
  Tensors tensors;
  for (const auto* list : {&state.parameters, &state.buffers}) {
    for (const auto& [name, tensor] : *list) {
      tensors.push_back(tensor.scalar_type() == at::kFloat ? tensor.data_ptr<float>() : nullptr);
    }
  }
  return tensors;
}

std::shared_ptr<const Graph> make_fused_graph(const NetworkSpec& spec) {
  const at::NoGradGuard no_gradients;
  const auto network = make_network(spec);
  network->eval();
  for (at::Tensor& parameter : network->parameters()) parameter.requires_grad_(false);
  disturb(*network);
  auto graph = std::make_shared<const Graph>(fuse(lower(*network, spec.input)));
  check(*network, spec, graph);
  return graph;
}

std::unique_ptr<Evaluator> make_fused_evaluator(const EngineOptions& options, std::shared_ptr<const Graph> graph,
                                                ImageSets images) {
  return std::make_unique<FusedEvaluator>(options, std::move(graph), std::move(images));
}

}  // namespace lossatlas
