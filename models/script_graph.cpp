#include "models/script_graph.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>

#include <initializer_list>

#include "models/script_network.h"

namespace lossatlas {
namespace {

namespace jit = torch::jit;

/// Whether one of the inputs of these names is known to be so: 1 for true, 0 for false or zero.
bool has_input(const jit::Node& node, std::initializer_list<const char*> names, double value) {
  for (const char* name : names) {
    if (!node.hasNamedInput(name)) continue;
    const auto known = jit::toIValue(node.namedInput(name));
    if (known && (known->isBool() || known->isScalar()) && known->toScalar().toDouble() == value) return true;
  }
  return false;
}

bool draws_random_numbers(const jit::Node& node) {
  const auto* schema = node.maybeSchema();
  if (!schema) return false;
  const auto found = c10::Dispatcher::singleton().findSchema(schema->operator_name());
  if (!found || !found->hasTag(at::Tag::nondeterministic_seeded)) return false;
  return !has_input(node, {"train", "training", "p", "dropout_p"}, 0);
}

bool uses_batch_statistics(const jit::Node& node) {
  return std::string(node.kind().toQualString()).find("batch_norm") != std::string::npos &&
         has_input(node, {"training"}, 1);
}

void look_at(const jit::Block& block, TrainingMode& mode) {
  for (const jit::Node* node : block.nodes()) {
    if (mode.random.empty() && draws_random_numbers(*node)) mode.random = node->kind().toQualString();
    if (uses_batch_statistics(*node)) mode.uses_batch_statistics = true;
    for (const jit::Block* inner : node->blocks()) look_at(*inner, mode);
  }
}

}  // namespace

TrainingMode training_mode_of(const ScriptNetwork& network) {
  TrainingMode mode;
  look_at(*network.frozen_graph()->block(), mode);
  return mode;
}

}  // namespace lossatlas
