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
                    "the graph does not describe each of its inputs");
}

TEST_CASE("An operator that fails at run time is named") {
  const json reference = graph_file("mlp");
  Tensors inputs = tensors_of(reference["inputs"]);
  inputs[0] = at::zeros({4, 9});  // the first weight
  CHECK_THROWS_WITH(ExportedGraph(reference["graph"]).run(inputs, at::kCPU),
                    Catch::Matchers::StartsWith("torch.ops.aten.linear.default: "));
  CHECK_THROWS_WITH(ExportedGraph(reference["graph"]).run({}, at::kCPU), "a graph of 6 inputs is given 0");
}

namespace {

json value(const std::string& name) { return {{"as_tensor", {{"name", name}}}}; }

json node(const std::string& target, const std::vector<std::pair<std::string, json>>& arguments) {
  json inputs = json::array();
  for (const auto& [name, argument] : arguments) inputs.push_back({{"name", name}, {"arg", argument}, {"kind", 1}});
  return {{"target", "torch.ops.aten." + target},
          {"inputs", inputs},
          {"outputs", {value("y")}},
          {"metadata", json::object()}};
}

/// y = the operator; the graph of two inputs x and z gives y.
ExportedGraph graph_of(const json& one) {
  const json spec = {{"user_input", {{"arg", value("x")}}}};
  return ExportedGraph(
      {{"schema_version", {{"major", 8}, {"minor", 0}}},
       {"graph_module",
        {{"graph", {{"inputs", {value("x"), value("z")}}, {"nodes", {one}}, {"outputs", {value("y")}}}},
         {"signature", {{"input_specs", {spec, spec}}}}}}});
}

}  // namespace

TEST_CASE("Operators change clones of a graph's inputs, but for those that may change") {
  const at::Tensor x = torch::tensor({1., 2., 3.}), z = torch::tensor({10., 20., 30.});
  const auto graph = graph_of(node("add_.Tensor", {{"self", value("x")}, {"other", value("z")}}));
  for (int run = 0; run < 2; ++run) {
    CHECK(at::equal(graph.run(Tensors{x, z}, at::kCPU).front(), torch::tensor({11., 22., 33.})));
    CHECK(at::equal(x, torch::tensor({1., 2., 3.})));
  }
  CHECK(at::equal(graph.run(Tensors{x, x}, at::kCPU).front(), torch::tensor({2., 4., 6.})));
  graph_of(node("add_.Tensor", {{"self", value("x")}, {"other", value("z")}}))
      .run(Tensors{x, z}, at::kCPU, {true, false});
  CHECK(at::equal(x, torch::tensor({11., 22., 33.})));
  const auto transposed = graph_of(node("t_.default", {{"self", value("x")}}));
  const at::Tensor matrix = torch::zeros({2, 3});
  CHECK(transposed.run(Tensors{matrix, z}, at::kCPU).front().sizes() == at::IntArrayRef{3, 2});
  CHECK(matrix.sizes() == at::IntArrayRef{2, 3});
}

TEST_CASE("Batch norm in training mode changes clones of statistics too, which its schema does not say") {
  const at::Tensor x = torch::tensor({{1., 2.}, {3., 6.}}), z = torch::zeros({2});
  const json none = {{"as_none", true}}, on = {{"as_bool", true}};
  const auto graph = graph_of(node("batch_norm.default", {{"input", value("x")},
                                                          {"weight", none},
                                                          {"bias", none},
                                                          {"running_mean", value("z")},
                                                          {"running_var", value("z")},
                                                          {"training", on},
                                                          {"momentum", {{"as_float", 0.5}}},
                                                          {"eps", {{"as_float", 0.0}}},
                                                          {"cudnn_enabled", on}}));
  CHECK(at::allclose(graph.run(Tensors{x, z}, at::kCPU).front(), torch::tensor({{-1., -1.}, {1., 1.}})));
  CHECK(z.sum().item<double>() == 0);
}

TEST_CASE("What LibTorch trusts is looked at") {
  const json number = {{"as_int", 3}}, many = {{"as_ints", {1 << 20}}}, one = {{"as_ints", {1}}};
  CHECK_THROWS_WITH(graph_of(node("zero_.default", {{"self", number}})),
                    "torch.ops.aten.zero_.default: writes into something that is not a value of the graph");
  CHECK_THROWS_WITH(graph_of(node("add.out", {{"self", value("x")}, {"other", value("x")}, {"out", value("x")}})),
                    "torch.ops.aten.add.out: writes into something that is not a value of the graph");
  CHECK_THROWS_WITH(graph_of(node("zeros.default", {{"size", one}, {"dtype", number}})),
                    "torch.ops.aten.zeros.default: has {\"as_int\":3} as its argument dtype");
  const Tensors inputs{torch::zeros({3}), torch::zeros({3})};
  CHECK_THROWS_WITH(graph_of(node("_reshape_alias.default", {{"self", value("x")}, {"size", many}, {"stride", one}}))
                        .run(inputs, at::kCPU),
                    Catch::Matchers::Contains("out of bounds for storage"));
  const json huge = {{"as_ints", {std::int64_t{1} << 50, 3}}};
  CHECK_THROWS_WITH(graph_of(node("expand.default", {{"self", value("x")}, {"size", huge}})).run(inputs, at::kCPU),
                    Catch::Matchers::EndsWith("more than this machine's memory"));
  CHECK_THROWS_AS(graph_of(node("zeros.default", {{"size", huge}})).run(inputs, at::kCPU), std::bad_alloc);
}
