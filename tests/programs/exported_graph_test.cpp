#include "programs/exported_graph.h"

#include <ATen/Context.h>
#include <ATen/ops/tensor.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "catch.h"
#include "programs/allowed_operators.h"

using lossatlas::ExportedGraph;
using nlohmann::json;
using Tensors = std::vector<at::Tensor>;

namespace {

json graph_file(const std::string& name) {
  std::ifstream stream(std::string(LOSSATLAS_TEST_FILES) + "/graphs/" + name + ".json");
  return json::parse(stream);
}

at::Tensor tensor_of(const json& stored) {
  const auto shape = stored.at("shape").get<std::vector<std::int64_t>>();
  const auto values = stored.at("values").get<std::vector<double>>();
  const at::ScalarType type = stored.at("type") == 5 ? at::kLong : stored.at("type") == 8 ? at::kDouble : at::kFloat;
  return torch::tensor(values, torch::kDouble).reshape(shape).to(type);
}

Tensors tensors_of(const json& stored) {
  Tensors tensors;
  for (const json& one : stored) tensors.push_back(tensor_of(one));
  return tensors;
}

/// As far apart as float32 leaves sums on another processor.
bool is_near(const at::Tensor& found, const json& expected) {
  const at::Tensor wanted = tensor_of(expected);
  return found.sizes() == wanted.sizes() && at::allclose(found.to(at::kDouble), wanted.to(at::kDouble), 2e-5, 2e-6);
}

const std::vector<std::string> kGraphs{"mlp",     "convolutions", "convolutions-train", "recurrent",
                                       "guarded", "attention",    "residuals"};

json changed(const std::string& name, const std::string& pointer, const json& value) {
  json model = graph_file(name)["graph"];
  model[json::json_pointer(pointer)] = value;
  return model;
}

}  // namespace

TEST_CASE("Exported graphs give PyTorch's values, gradients and Hessian-vector products") {
  at::globalContext().setSDPUseFlash(false);  // its backward pass has no derivative
  for (const auto& name : kGraphs) {
    CAPTURE(name);
    const json reference = graph_file(name);
    const ExportedGraph graph(reference["graph"]);
    Tensors inputs = tensors_of(reference["inputs"]);
    const auto count = reference["parameters"].get<std::size_t>();
    for (std::size_t i = 0; i < count; ++i) inputs[i].requires_grad_();
    const Tensors outputs = graph.run(inputs, at::kCPU);
    REQUIRE(outputs.size() == reference["outputs"].size());
    for (std::size_t i = 0; i < outputs.size(); ++i) CHECK(is_near(outputs[i], reference["outputs"][i]));

    const Tensors parameters(inputs.begin(), inputs.begin() + static_cast<std::ptrdiff_t>(count));
    const auto gradient = torch::autograd::grad({outputs[0].sum()}, parameters, {}, true, true);
    at::Tensor along = at::zeros({});
    for (std::size_t i = 0; i < count; ++i) {
      CHECK(is_near(gradient[i], reference["gradient"][i]));
      along = along + (gradient[i] * parameters[i].detach()).sum();
    }
    const auto product = torch::autograd::grad({along}, parameters, {}, std::nullopt, false, true);
    for (std::size_t i = 0; i < count; ++i) {
      CHECK(is_near(product[i].defined() ? product[i] : at::zeros_like(parameters[i]), reference["product"][i]));
    }
  }
}

TEST_CASE("An exported graph takes other numbers of samples") {
  for (const auto& name : kGraphs) {
    CAPTURE(name);
    const json reference = graph_file(name);
    Tensors inputs = tensors_of(reference["inputs"]);
    const std::size_t first = inputs.size() - reference["batch"].get<std::size_t>();
    for (std::size_t i = first; i < inputs.size(); ++i) inputs[i] = at::cat({inputs[i], inputs[i].slice(0, 0, 1)});
    const Tensors outputs = ExportedGraph(reference["graph"]).run(inputs, at::kCPU);
    for (std::size_t i = 0; i < outputs.size(); ++i) CHECK(is_near(outputs[i], reference["of_one_more"][i]));
  }
}

TEST_CASE("Threads share a graph, and get the same bits") {
  const json reference = graph_file("attention");
  const ExportedGraph graph(reference["graph"]);
  const Tensors inputs = tensors_of(reference["inputs"]);
  const at::Tensor alone = graph.run(inputs, at::kCPU).front();
  std::vector<at::Tensor> found(4);
  std::vector<std::jthread> threads;
  for (auto& one : found) threads.emplace_back([&] { one = graph.run(inputs, at::kCPU).front(); });
  threads.clear();
  for (const auto& one : found) CHECK(at::equal(one, alone));
}

TEST_CASE("Graphs call operators that compute, and no others") {
  CHECK(lossatlas::is_allowed_operator("conv2d"));
  CHECK(lossatlas::is_allowed_operator("add"));
  for (const char* name : {"", " ", "conv", "from_file", "rand", "normal_", "record_stream", "set_", "save"}) {
    CHECK_FALSE(lossatlas::is_allowed_operator(name));
  }
  const std::string target = "/graph_module/graph/nodes/0/target";
  CHECK_THROWS_WITH(ExportedGraph(changed("mlp", target, "torch.ops.aten.from_file.default")),
                    "torch.ops.aten.from_file.default: graphs may not call this operator");
  CHECK_THROWS_WITH(ExportedGraph(changed("mlp", target, "torch.ops.quantized.linear.default")),
                    "torch.ops.quantized.linear.default: graphs may not call this function");
  CHECK_THROWS_WITH(ExportedGraph(changed("mlp", target, "os.system")), "os.system: graphs may not call this function");
  CHECK_THROWS_WITH(ExportedGraph(changed("mlp", target, "torch.ops.aten.linear.nothing")),
                    "torch.ops.aten.linear.nothing: this LibTorch has no such operator");
}

TEST_CASE("A graph that draws random numbers is refused") {
  json model = graph_file("mlp")["graph"];
  const json input = model["graph_module"]["graph"]["nodes"][0]["inputs"][0];
  json& node = model["graph_module"]["graph"]["nodes"][0];
  node["target"] = "torch.ops.aten.dropout.default";
  node["inputs"] = {{{"name", "input"}, {"arg", input["arg"]}, {"kind", 1}},
                    {{"name", "p"}, {"arg", {{"as_float", 0.5}}}, {"kind", 1}},
                    {{"name", "train"}, {"arg", {{"as_bool", true}}}, {"kind", 1}}};
  CHECK_THROWS_WITH(ExportedGraph(model),
                    "torch.ops.aten.dropout.default: draws random numbers; export the network in eval() mode");
  node["inputs"][2]["arg"]["as_bool"] = false;
  CHECK_NOTHROW(ExportedGraph(model));
}

TEST_CASE("A damaged graph is refused with what is wrong") {
  CHECK_THROWS_WITH(ExportedGraph(json::array()), "no graph of torch.export: it lacks schema_version");
  CHECK_THROWS_WITH(ExportedGraph(changed("mlp", "/schema_version/major", 9)),
                    "a graph of schema version 9: this version of lossatlas reads version 8");
  const std::string node = "/graph_module/graph/nodes/0";
  CHECK_THROWS_WITH(ExportedGraph(changed("mlp", node + "/inputs/0/arg/as_tensor/name", "nobody")),
                    "torch.ops.aten.linear.default: the graph uses nobody before it is computed");
  CHECK_THROWS_WITH(ExportedGraph(changed("mlp", node + "/inputs/0/arg", {{"as_custom_obj", 1}})),
                    "torch.ops.aten.linear.default: has an argument of the kind as_custom_obj, which is not supported");
  CHECK_THROWS_WITH(ExportedGraph(changed("mlp", node + "/inputs/0/name", "other")),
                    "torch.ops.aten.linear.default: lacks its argument input");
  CHECK_THROWS_WITH(ExportedGraph(changed("mlp", "/graph_module/graph/nodes", 3)),
                    "the graph has 3 in the place of a list");
  CHECK_THROWS_WITH(ExportedGraph(changed("mlp", "/graph_module/signature/input_specs", json::array())),
                    "the graph does not say what each of its inputs is");
}

TEST_CASE("An operator that fails at run time is named") {
  const json reference = graph_file("mlp");
  Tensors inputs = tensors_of(reference["inputs"]);
  inputs[0] = at::zeros({4, 9});  // the first weight
  CHECK_THROWS_WITH(ExportedGraph(reference["graph"]).run(inputs, at::kCPU),
                    Catch::Matchers::StartsWith("torch.ops.aten.linear.default: "));
  CHECK_THROWS_WITH(ExportedGraph(reference["graph"]).run({}, at::kCPU), "a graph of 6 inputs is given 0");
}
