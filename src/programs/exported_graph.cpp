#include "programs/exported_graph.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "programs/graph_json.h"
#include "programs/graph_nodes.h"

namespace lossatlas {
namespace {

using nlohmann::json;

/// torch.export's version of its files: another first number may mean anything.
constexpr int kSchema = 8;

/// {"parameter": {"arg": {"name": …}, "parameter_name": …}}.
GraphInput input_of(const json& spec) {
  if (!spec.is_object() || spec.size() != 1) throw Error("the graph has {} as an input", json_text(spec).substr(0, 60));
  const std::string kind = spec.begin().key();
  const json& what = spec.begin().value();
  const auto text = [&](const char* name) { return value_as<std::string>(member(what, name), "a name"); };
  const auto flag = [&](const char* name) { return !what.contains(name) || value_as<bool>(what.at(name), "a flag"); };
  if (kind == "parameter") return {InputKind::parameter, text("parameter_name")};
  if (kind == "buffer") return {flag("persistent") ? InputKind::buffer : InputKind::constant, text("buffer_name")};
  if (kind == "tensor_constant") return {InputKind::constant, text("tensor_constant_name")};
  if (kind != "user_input" && kind != "constant_input") {
    throw Error("the graph has an input of the kind {}, which is not supported", kind);
  }
  if (kind == "constant_input") return {InputKind::user, text("name")};
  const bool has_name = what.contains("arg") && what.at("arg").contains("as_tensor");
  return {InputKind::user, has_name ? value_as<std::string>(member(what["arg"]["as_tensor"], "name"), "a name") : ""};
}

}  // namespace

ExportedGraph::ExportedGraph(const json& model) {
  const json& schema = member(member(model, "schema_version"), "major");
  if (schema != kSchema) {
    throw Error("a graph of schema version {}: this version of lossatlas reads version {}", json_text(schema), kSchema);
  }
  const json& module = member(model, "graph_module");
  auto body = std::make_unique<GraphBody>(read_body(member(module, "graph")));
  const json& specs = member(member(module, "signature"), "input_specs");
  if (!specs.is_array() || specs.size() != body->inputs.size()) {
    throw Error("the graph does not describe each of its inputs");
  }
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const GraphInput input = input_of(specs[i]);
    if (body->inputs[i]) inputs_.push_back(input);
  }
  body_ = std::move(body);
  is_cloned_ = std::make_unique<std::atomic<bool>[]>(inputs_.size());
}

ExportedGraph::ExportedGraph(GraphBody body, std::vector<GraphInput> inputs)
    : body_(std::make_unique<const GraphBody>(std::move(body))),
      inputs_(std::move(inputs)),
      is_cloned_(std::make_unique<std::atomic<bool>[]>(inputs_.size())) {}

ExportedGraph::~ExportedGraph() = default;
ExportedGraph::ExportedGraph(ExportedGraph&&) noexcept = default;
ExportedGraph& ExportedGraph::operator=(ExportedGraph&&) noexcept = default;

const GraphBody& ExportedGraph::body() const { return *body_; }

const std::vector<GraphInput>& ExportedGraph::inputs() const { return inputs_; }

std::size_t ExportedGraph::outputs() const { return body_->outputs.size(); }

std::vector<at::Tensor> ExportedGraph::run(std::span<const at::Tensor> inputs, const at::Device& device,
                                           const std::vector<bool>& may_change) const {
  if (inputs.size() != inputs_.size()) throw Error("a graph of {} inputs is given {}", inputs_.size(), inputs.size());
  std::vector<std::pair<at::Tensor, at::Tensor>> before;  // of what a run changes that has to begin again
  for (std::size_t i = 0; i < may_change.size(); ++i) {
    if (may_change[i]) before.emplace_back(inputs[i], inputs[i].clone());
  }
  for (;;) {
    try {
      return run_once(inputs, device, may_change);
    } catch (const WritesInput& written) {
      is_cloned_[written.input] = true;
      for (const auto& [tensor, content] : before) tensor.copy_(content);
    }
  }
}

std::vector<at::Tensor> ExportedGraph::run_once(std::span<const at::Tensor> inputs, const at::Device& device,
                                                const std::vector<bool>& may_change) const {
  RunContext context{device, std::vector<const c10::StorageImpl*>(inputs.size())};
  std::vector<c10::IValue> values(body_->slots);
  std::size_t next = 0;
  for (const auto& slot : body_->inputs) {
    if (!slot) continue;
    const at::Tensor& input = inputs[next];
    const bool is_cloned = is_cloned_[next], is_kept = !is_cloned && (may_change.empty() || !may_change[next]);
    if (is_kept && input.defined()) context.kept[next] = input.storage().unsafeGetStorageImpl();
    values[*slot] = is_cloned ? input.clone() : input;
    ++next;
  }
  std::vector<at::Tensor> outputs;
  for (const c10::IValue& value : run_body(*body_, std::move(values), context)) {
    if (!value.isTensor()) throw Error("the graph returns something that is not a tensor");
    outputs.push_back(value.toTensor());
  }
  return outputs;
}

}  // namespace lossatlas
