#include "programs/exported_program.h"

#include <algorithm>
#include <string>
#include <utility>

#include "programs/graph_json.h"

namespace lossatlas {
namespace {

using nlohmann::json;

/// {"as_int": 3}, or {"as_expr": {"expr_str": "s77", "hint": {"as_int": 3}}} for any number.
ExportedProgram::Size size_of(const json& size) {
  if (size.is_object() && size.contains("as_int")) return {value_as<std::int64_t>(size.at("as_int"), "a size"), true};
  const json& expression = member(size, "as_expr");
  const auto hint = expression.find("hint");
  const bool is_known = hint != expression.end() && hint->is_object() && hint->contains("as_int");
  return {is_known ? value_as<std::int64_t>(hint->at("as_int"), "a size") : 0, false};
}

/// What the graph says of the images, whose name in it is `name`.
std::array<ExportedProgram::Size, 4> sizes_of_images(const json& graph, const std::string& name) {
  const json& meta = member(member(graph, "tensor_values"), name.c_str());
  const json& sizes = member(meta, "sizes");
  if (scalar_type_of(member(meta, "dtype")) != at::kFloat || !sizes.is_array() || sizes.size() != 4) {
    throw Error("the network takes a tensor that is no batch of images [N, C, H, W] in float32");
  }
  std::array<ExportedProgram::Size, 4> found;
  std::transform(sizes.begin(), sizes.end(), found.begin(), size_of);
  return found;
}

}  // namespace

ExportedProgram read_exported_program(const json& model, const std::function<at::Tensor(const GraphInput&)>& find) {
  ExportedProgram program{.graph = ExportedGraph(model), .tensors = {}};
  const auto& inputs = program.graph.inputs();
  const auto is_user = [](const GraphInput& input) { return input.kind == InputKind::user; };
  const auto images = std::find_if(inputs.begin(), inputs.end(), is_user);
  if (std::count_if(inputs.begin(), inputs.end(), is_user) != 1) {
    throw Error("the network takes {} inputs; export one that takes a batch of images alone",
                std::count_if(inputs.begin(), inputs.end(), is_user));
  }
  if (program.graph.outputs() != 1) {
    throw Error("the network gives {} results; export one that returns its logits alone", program.graph.outputs());
  }
  program.images = static_cast<std::size_t>(images - inputs.begin());
  program.sizes = sizes_of_images(model.at("graph_module").at("graph"), images->name);
  for (const GraphInput& input : inputs) program.tensors.push_back(is_user(input) ? at::Tensor() : find(input));
  return program;
}

}  // namespace lossatlas
