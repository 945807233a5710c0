#include "evaluation/layer_times.h"

#include <ATen/ops/rand.h>

#include <algorithm>

#include "base/error.h"
#include "base/stopwatch.h"
#include "evaluation/engines/fused.h"
#include "evaluation/problem.h"
#include "fused/lowering.h"
#include "fused/plan.h"

namespace lossatlas {
namespace {

/// Floating-point operations of one thread a second at best.
double measure_peak(const Kernels& kernels) {
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    const Stopwatch stopwatch;
    const double operations = kernels.multiply_add(4'000'000);
    best = std::max(best, operations / stopwatch.seconds());
  }
  return best;
}

std::string_view name_of(Operation operation) {
  switch (operation) {
    case Operation::convolution: return "convolution";
    case Operation::linear: return "linear";
    case Operation::batch_norm: return "batch norm";
    case Operation::relu: return "ReLU";
    case Operation::add: return "sum";
    case Operation::max_pool: return "max pooling";
    case Operation::average_pool: return "average pooling";
    case Operation::concatenate: return "concatenation";
    case Operation::pad: return "zero channels";
    case Operation::flatten: return "flatten";
    case Operation::moments:
    case Operation::input: break;
  }
  return "input";
}

/// Operations of the sum of products as it is defined, whatever way it is computed.
double operations(const Graph& graph, const Node& node) {
  if (node.operation != Operation::convolution && node.operation != Operation::linear) return 0;
  const auto inputs = graph.nodes[node.inputs[0]].shape.channels;
  return 2.0 * static_cast<double>(node.shape.size() * inputs * node.window.taps());
}

}  // namespace

namespace {

FusedPart lower(const Problem& problem) {
  try {
    return problem.lower();
  } catch (const CannotLower& reason) {
    throw Error("the fused engine, whose layers are timed, cannot run {}: it has {}", problem.name(), reason.what());
  }
}

}  // namespace

LayerTimes time_layers(const Problem& problem, const NetworkTensors& state, InstructionSet set, Precision precision,
                       std::int64_t batch_size, std::int64_t repeats) {
  const FusedPart part = lower(problem);
  const Tensors tensors = tensors_of(state, part.fixed);
  Plan plan(part.graph, {set, batch_size, precision});
  plan.load(tensors);  // the first time, memory is still to be had
  LayerTimes times;
  const Stopwatch loading;
  plan.load(tensors);
  times.load_seconds = loading.seconds();
  const ImageShape& image = part.graph->nodes.front().shape;
  const auto images = at::rand({batch_size, image.channels, image.height, image.width});
  std::vector<float> logits(static_cast<std::size_t>(batch_size * plan.classes()));
  const PlanarImages batch{images.data_ptr<float>(), batch_size, image.channels, image.height, image.width};
  plan.run(batch, logits);
  plan.measure();
  for (std::int64_t i = 0; i < repeats; ++i) plan.run(batch, logits);
  for (const auto& step : plan.times()) {
    const Node& node = *step.node;
    times.layers.push_back({.operation = std::string(name_of(node.operation)),
                            .method = std::string(step.method),
                            .result = {node.shape.channels, node.shape.height, node.shape.width},
                            .window = {node.window.height, node.window.width},
                            .seconds = step.seconds / static_cast<double>(repeats * batch_size),
                            .flops = operations(plan.graph(), node)});
  }
  times.peak = measure_peak(kernels_of(set));
  times.memory = plan.memory();
  return times;
}

}  // namespace lossatlas
