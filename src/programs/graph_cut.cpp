#include "programs/graph_cut.h"

#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "programs/graph_nodes.h"

namespace lossatlas {
namespace {

namespace jit = torch::jit;

std::vector<Slot> slots_read(const GraphNode& node) {
  std::vector<Slot> slots;
  for (const Operand& operand : node.operands) {
    if (const auto* slot = std::get_if<Slot>(&operand)) slots.push_back(*slot);
    if (const auto* list = std::get_if<ListOf>(&operand)) {
      for (const auto& slot : list->slots) {
        if (slot) slots.push_back(*slot);
      }
    }
  }
  return slots;
}

/// Results, and what an operator changes in place.
std::vector<Slot> slots_written(const GraphNode& node) {
  std::vector<Slot> slots;
  for (const auto& result : node.results) {
    if (result) slots.push_back(*result);
  }
  const auto* call = std::get_if<OperatorCall>(&node.call);
  if (!call || !call->handle.schema().is_mutable()) return slots;
  const auto& arguments = call->handle.schema().arguments();
  for (std::size_t i = 0; i < node.operands.size() && i < arguments.size(); ++i) {
    const auto* slot = std::get_if<Slot>(&node.operands[i]);
    if (slot && arguments[i].alias_info() && arguments[i].alias_info()->isWrite()) slots.push_back(*slot);
  }
  return slots;
}

bool any_of(const std::vector<Slot>& slots, const std::set<Slot>& set) {
  return std::any_of(slots.begin(), slots.end(), [&](Slot slot) { return set.contains(slot); });
}

std::vector<Slot> outputs_of(const GraphBody& body) {
  std::vector<Slot> slots;
  for (const Operand& output : body.outputs) {
    if (const auto* slot = std::get_if<Slot>(&output)) slots.push_back(*slot);
  }
  return slots;
}

/// What depends on `from`; `without` does not, whatever it is made of.
std::set<Slot> dependents(const GraphBody& body, std::set<Slot> from, std::size_t first, Slot without) {
  for (std::size_t i = 0; i < body.nodes.size(); ++i) {
    if (!any_of(slots_read(body.nodes[i]), from)) continue;
    for (const Slot slot : slots_written(body.nodes[i])) {
      if (i < first || slot != without) from.insert(slot);
    }
    if (i + 1 == first) from.erase(without);
  }
  return from;
}

/// Nodes before `end` that the wanted slots need, in order. `given`: a slot whose value from node `from` on is given.
std::vector<std::size_t> needed(const GraphBody& body, std::size_t end, std::set<Slot> wanted,
                                std::optional<Slot> given = {}, std::size_t from = 0) {
  std::vector<std::size_t> nodes;
  for (std::size_t i = end; i-- > 0;) {
    if (given && i < from) wanted.erase(*given);
    if (!any_of(slots_written(body.nodes[i]), wanted)) continue;
    nodes.push_back(i);
    for (const Slot slot : slots_read(body.nodes[i])) wanted.insert(slot);
  }
  std::reverse(nodes.begin(), nodes.end());
  return nodes;
}

/// The nodes as TorchScript's graph has them: `fused` translates that.
class ToScript {
 public:
  ToScript(const GraphBody& body, Slot images, const std::map<Slot, at::Tensor>& tensors)
      : body_(body), graph_(std::make_shared<jit::Graph>()) {
    values_[images] = graph_->addInput("images");
    for (const auto& [slot, tensor] : tensors) values_[slot] = graph_->insertConstant(tensor);
  }

  std::shared_ptr<jit::Graph> translate(const std::vector<std::size_t>& nodes, Slot result) {
    for (const std::size_t node : nodes) translate(body_.nodes[node]);
    graph_->registerOutput(value(result));
    return graph_;
  }

 private:
  void translate(const GraphNode& node) {
    const auto* call = std::get_if<OperatorCall>(&node.call);
    if (!call) throw CannotCut("the operator {}", node.name);
    if (node.results.size() != 1 || node.unpacks_list || !node.results[0])
      throw CannotCut("the operator {}", node.name);
    std::vector<jit::Value*> inputs;
    for (const Operand& operand : node.operands) inputs.push_back(input(operand));
    const std::string& name = call->handle.schema().name();
    const std::string script = name == "aten::sym_size" ? "aten::size" : name;
    jit::Node* made = graph_->create(c10::Symbol::fromQualString(script), inputs);
    graph_->insertNode(made);
    values_[*node.results[0]] = made->output();
  }

  jit::Value* input(const Operand& operand) {
    if (const auto* slot = std::get_if<Slot>(&operand)) return value(*slot);
    if (const auto* constant = std::get_if<c10::IValue>(&operand)) return graph_->insertConstant(*constant);
    if (const auto* list = std::get_if<ListOf>(&operand)) {
      std::vector<jit::Value*> entries;
      for (std::size_t i = 0; i < list->slots.size(); ++i) {
        const bool is_number = !list->slots[i] && list->kind == ListOf::Kind::integers;
        if (!list->slots[i] && !is_number) throw CannotCut("a list that lacks a tensor");
        entries.push_back(is_number ? graph_->insertConstant(list->numbers[i]) : value(*list->slots[i]));
      }
      jit::Node* made = graph_->create(c10::prim::ListConstruct, entries);
      graph_->insertNode(made);
      return made->output();
    }
    throw CannotCut("an operator that makes a new tensor");
  }

  jit::Value* value(Slot slot) const {
    const auto found = values_.find(slot);
    if (found == values_.end()) throw CannotCut("a network of more than one tensor of a batch");
    return found->second;
  }

  const GraphBody& body_;
  std::shared_ptr<jit::Graph> graph_;
  std::map<Slot, jit::Value*> values_;
};

}  // namespace

std::shared_ptr<jit::Graph> script_graph_of(const ExportedGraph& graph, std::span<const at::Tensor> tensors) {
  const GraphBody& body = graph.body();
  std::map<Slot, at::Tensor> known;
  std::optional<Slot> images;
  std::size_t next = 0;
  for (const auto& slot : body.inputs) {
    if (!slot) continue;
    const at::Tensor& tensor = tensors[next++];
    tensor.defined() ? void(known[*slot] = tensor) : void(images = *slot);
  }
  const auto outputs = outputs_of(body);
  if (!images || outputs.size() != 1) throw CannotCut("no samples");
  return ToScript(body, *images, known).translate(needed(body, body.nodes.size(), {outputs[0]}), outputs[0]);
}

namespace {

/// Where a graph is cut: after node `end` - 1, which gives the logits.
struct Place {
  std::size_t end = 0;
  Slot logits = {};
  std::vector<Slot> state, batch, constants;
};

Place place_of_cut(const ExportedGraph& graph, std::size_t state) {
  const GraphBody& body = graph.body();
  Place place;
  std::size_t next = 0, user = 0;
  for (const auto& slot : body.inputs) {
    if (!slot) continue;
    const bool is_user = graph.inputs()[next++].kind == InputKind::user;
    (!is_user ? place.constants : user++ < state ? place.state : place.batch).push_back(*slot);
  }
  if (place.batch.empty()) throw CannotCut("no samples");
  const std::set<Slot> of_state(place.state.begin(), place.state.end());
  const auto outputs = outputs_of(body);
  std::size_t last = body.nodes.size();  // the last node that reads the state itself
  for (std::size_t i = 0; i < body.nodes.size(); ++i) {
    if (any_of(slots_read(body.nodes[i]), of_state)) last = i;
  }
  for (std::size_t i = last; i < body.nodes.size(); ++i) {
    const GraphNode& node = body.nodes[i];
    if (node.results.size() != 1 || !node.results[0] || node.unpacks_list) continue;
    place.logits = *node.results[0];
    place.end = i + 1;
    if (!any_of(outputs, dependents(body, of_state, place.end, place.logits))) return place;
  }
  throw CannotCut("a loss that reads the parameters");
}

ExportedGraph loss_of(const ExportedGraph& graph, const Place& place) {
  const GraphBody& body = graph.body();
  GraphBody loss;
  loss.slots = body.slots;
  loss.inputs.emplace_back(place.logits);
  std::vector<GraphInput> inputs{{InputKind::user, "logits"}};
  for (const Slot slot : place.batch) {
    loss.inputs.emplace_back(slot);
    inputs.push_back({InputKind::user, ""});
  }
  for (std::size_t c = 0, at = 0; c < graph.inputs().size(); ++c) {
    if (graph.inputs()[c].kind == InputKind::user) continue;
    loss.inputs.emplace_back(place.constants[at++]);
    inputs.push_back(graph.inputs()[c]);
  }
  const auto outputs = outputs_of(body);
  const std::set<Slot> wanted(outputs.begin(), outputs.end());
  for (const std::size_t number : needed(body, body.nodes.size(), wanted, place.logits, place.end)) {
    loss.nodes.push_back(body.nodes[number]);
  }
  loss.outputs = body.outputs;
  return ExportedGraph(std::move(loss), std::move(inputs));
}

}  // namespace

GraphCut cut_at_logits(const ExportedGraph& graph, std::span<const at::Tensor> state) {
  const Place place = place_of_cut(graph, state.size());
  std::map<Slot, at::Tensor> tensors;
  for (std::size_t i = 0; i < state.size(); ++i) tensors[place.state[i]] = state[i];
  auto network = ToScript(graph.body(), place.batch.front(), tensors)
                     .translate(needed(graph.body(), place.end, {place.logits}), place.logits);
  return {std::move(network), loss_of(graph, place)};
}

GraphHalves halves_at_logits(const ExportedGraph& graph, std::size_t state) {
  const GraphBody& body = graph.body();
  const Place place = place_of_cut(graph, state);
  GraphBody network;
  network.slots = body.slots;
  network.inputs = body.inputs;
  for (const std::size_t number : needed(body, place.end, {place.logits})) network.nodes.push_back(body.nodes[number]);
  network.outputs.emplace_back(place.logits);
  return {ExportedGraph(std::move(network), graph.inputs()), loss_of(graph, place)};
}

}  // namespace lossatlas
