#include "evaluation/smoothness.h"

#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <utility>

namespace lossatlas {
namespace {

/// Names of autograd's nodes without "Backward0", and what the operators are called.
constexpr std::array<std::pair<std::string_view, std::string_view>, 24> kKinks{{
    {"Relu", "ReLU"},
    {"LeakyRelu", "leaky ReLU"},
    {"PreluKernel", "PReLU"},
    {"RreluWithNoise", "RReLU"},
    {"Threshold", "ReLU"},
    {"Hardtanh", "hardtanh or ReLU6"},
    {"Hardswish", "hardswish"},
    {"Hardsigmoid", "hardsigmoid"},
    {"Hardshrink", "hardshrink"},
    {"Softshrink", "softshrink"},
    {"Abs", "absolute value"},
    {"Clamp", "clamp"},
    {"ClampMin", "clamp"},
    {"ClampMax", "clamp"},
    {"Max", "maximum"},
    {"Min", "minimum"},
    {"Maximum", "maximum"},
    {"Minimum", "minimum"},
    {"Amax", "maximum"},
    {"Amin", "minimum"},
    {"MaxPool2DWithIndices", "max pooling"},
    {"MaxPool3DWithIndices", "max pooling"},
    {"AdaptiveMaxPool2D", "max pooling"},
    {"L1Loss", "absolute value"},
}};

/// "ReluBackward0" is of "Relu".
std::string_view operator_of(std::string_view node) {
  const std::size_t end = node.rfind("Backward");
  return end == node.npos ? node : node.substr(0, end);
}

}  // namespace

Smoothness smoothness_of(Program& program, const Criterion& criterion, const Batch& batch,
                         const NetworkTensors& state) {
  {
    const at::NoGradGuard no_gradients;
    program.load(state);
  }
  const at::AutoGradMode gradients(true);
  for (const at::Tensor& parameter : program.parameters()) parameter.requires_grad_(true);
  const at::Tensor loss = criterion.losses(program.run(batch), batch).sum();
  Smoothness found;
  std::set<torch::autograd::Node*> seen;
  std::vector<torch::autograd::Node*> open{loss.grad_fn().get()};
  while (!open.empty()) {
    torch::autograd::Node* node = open.back();
    open.pop_back();
    if (!node || !seen.insert(node).second) continue;
    const std::string name = node->name();
    const std::string_view of = operator_of(name);
    found.has_attention = found.has_attention || of.starts_with("ScaledDotProduct");
    for (const auto& [kink, word] : kKinks) {
      if (of != kink || std::count(found.kinks.begin(), found.kinks.end(), word) > 0) continue;
      found.kinks.emplace_back(word);
    }
    for (const auto& edge : node->next_edges()) open.push_back(edge.function.get());
  }
  std::sort(found.kinks.begin(), found.kinks.end());
  return found;
}

void use_differentiable_attention() {
  at::Context& context = at::globalContext();
  context.setSDPUseFlash(false);
  context.setSDPUseMemEfficient(false);
  context.setSDPUseCuDNN(false);
}

}  // namespace lossatlas
