#include "programs/exported_program.h"

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "programs/graph_json.h"

namespace lossatlas {
namespace {

using nlohmann::json;

/// A limit of range_constraints; without one, `otherwise`.
std::int64_t limit(const json& range, const char* name, std::int64_t otherwise) {
  const json& value = member(range, name);
  return value.is_null() ? otherwise : value_as<std::int64_t>(value, "a size");
}

/// {"as_int": 3}, or {"as_expr": {"expr_str": "Symbol('s77', positive=True)", "hint": {"as_int": 3}}} for a range.
ExportedProgram::Size size_of(const json& size, const json& ranges) {
  ExportedProgram::Size found;
  if (size.is_object() && size.contains("as_int")) {
    found.example = found.least = found.most = value_as<std::int64_t>(size.at("as_int"), "a size");
  } else {
    const json& expression = member(size, "as_expr");
    const auto text = value_as<std::string>(member(expression, "expr_str"), "an expression");
    constexpr std::string_view kSymbol = "Symbol('";
    const std::size_t end = text.find('\'', kSymbol.size());
    if (!text.starts_with(kSymbol) || end == text.npos) {
      throw Error("the network takes images of the size {} alone; export it with torch.export.Dim('batch')",
                  text.substr(0, 60));
    }
    const json& range = member(ranges, text.substr(kSymbol.size(), end - kSymbol.size()).c_str());
    found.least = limit(range, "min_val", 0);
    found.most = limit(range, "max_val", std::numeric_limits<std::int64_t>::max());
    const auto hint = expression.find("hint");
    const bool is_known = hint != expression.end() && hint->is_object() && hint->contains("as_int");
    if (is_known) found.example = value_as<std::int64_t>(hint->at("as_int"), "a size");
  }
  if (found.most < 1 || found.least > found.most) throw Error("the network takes no images");
  return found;
}

/// Python code under which alone the graph is true, as a branch on the number of images makes it.
void check_guards(const json& model) {
  const auto guards = model.find("guards_code");
  if (guards == model.end() || guards->empty()) return;
  throw Error("the graph is true only if {}; export the network without a branch on the sizes of images",
              json_text(guards->front()).substr(0, 80));
}

/// What the graph says of the images, whose name in it is `name`.
std::array<ExportedProgram::Size, 4> sizes_of_images(const json& graph, const std::string& name, const json& ranges) {
  const json& meta = member(member(graph, "tensor_values"), name.c_str());
  const json& sizes = member(meta, "sizes");
  if (scalar_type_of(member(meta, "dtype")) != at::kFloat || !sizes.is_array() || sizes.size() != 4) {
    throw Error("the network takes a tensor that is not a batch of images [N, C, H, W] in float32");
  }
  std::array<ExportedProgram::Size, 4> found;
  std::transform(sizes.begin(), sizes.end(), found.begin(), [&](const json& size) { return size_of(size, ranges); });
  return found;
}

}  // namespace

ExportedProgram read_exported_program(const json& model, const std::function<at::Tensor(const GraphInput&)>& find) {
  ExportedProgram program{.graph = ExportedGraph(model), .tensors = {}};
  const auto& inputs = program.graph.inputs();
  const auto is_user = [](const GraphInput& input) { return input.kind == InputKind::user; };
  const auto images = std::find_if(inputs.begin(), inputs.end(), is_user);
  if (std::count_if(inputs.begin(), inputs.end(), is_user) != 1) {
    throw Error("the network takes {} inputs; export one that takes only a batch of images",
                std::count_if(inputs.begin(), inputs.end(), is_user));
  }
  if (program.graph.outputs() != 1) {
    throw Error("the network gives {} results; export one that returns only its logits", program.graph.outputs());
  }
  program.images = static_cast<std::size_t>(images - inputs.begin());
  check_guards(model);
  const json& graph = model.at("graph_module").at("graph");
  program.sizes = sizes_of_images(graph, images->name, member(model, "range_constraints"));
  for (const GraphInput& input : inputs) program.tensors.push_back(is_user(input) ? at::Tensor() : find(input));
  return program;
}

}  // namespace lossatlas
