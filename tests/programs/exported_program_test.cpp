#include "programs/exported_program.h"

#include <torch/types.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "catch.h"

using namespace lossatlas;
using nlohmann::json;

namespace {

json tensor_argument(const char* name) { return {{"as_tensor", {{"name", name}}}}; }

/// x + bias, of images x [N, 1, 2, 2], as torch.export writes it.
json model() {
  const json graph{
      {"inputs", {tensor_argument("p"), tensor_argument("x")}},
      {"outputs", {tensor_argument("y")}},
      {"nodes",
       {{{"target", "torch.ops.aten.add.Tensor"},
         {"inputs",
          {{{"name", "self"}, {"arg", tensor_argument("x")}}, {{"name", "other"}, {"arg", tensor_argument("p")}}}},
         {"outputs", {tensor_argument("y")}}}}},
      {"tensor_values",
       {{"x",
         {{"dtype", 7},
          {"sizes",
           {{{"as_expr", {{"expr_str", "Symbol('s0', positive=True)"}, {"hint", {{"as_int", 5}}}}}},
            {{"as_int", 1}},
            {{"as_int", 2}},
            {{"as_expr", {{"expr_str", "Symbol('s1')"}, {"hint", nullptr}}}}}}}}}}};
  const json signature{{"input_specs",
                        {{{"parameter", {{"arg", {{"name", "p"}}}, {"parameter_name", "bias"}}}},
                         {{"user_input", {{"arg", tensor_argument("x")}}}}}}};
  return {{"schema_version", {{"major", 8}, {"minor", 17}}},
          {"range_constraints",
           {{"s0", {{"min_val", 2}, {"max_val", 7}}}, {"s1", {{"min_val", nullptr}, {"max_val", nullptr}}}}},
          {"graph_module", {{"graph", graph}, {"signature", signature}}}};
}

ExportedProgram read(const json& text) {
  return read_exported_program(text, [](const GraphInput& input) {
    CHECK(input.name == "bias");
    return torch::full({1}, 3.f);
  });
}

json changed(const std::string& pointer, const json& value) {
  json text = model();
  text[json::json_pointer(pointer)] = value;
  return text;
}

}  // namespace

TEST_CASE("an exported network knows its images, which sizes they may have, and its tensors") {
  const ExportedProgram program = read(model());
  CHECK(program.images == 1);
  CHECK(!program.tensors[1].defined());
  CHECK(program.tensors[0].item<float>() == 3);
  CHECK((program.sizes[0].example == 5 && program.sizes[0].least == 2 && program.sizes[0].most == 7));
  CHECK((program.sizes[2].example == 2 && program.sizes[2].least == 2 && program.sizes[2].most == 2));
  CHECK((program.sizes[3].example == 0 && program.sizes[3].least == 0 && program.sizes[3].most > 1'000'000));
  const torch::Tensor images = torch::ones({2, 1, 2, 2});
  CHECK(program.graph.run(std::vector{program.tensors[0], images}, torch::kCPU)[0].equal(images + 3));
}

TEST_CASE("graphs that are no classifier of images are refused") {
  const std::string graph = "/graph_module/graph", x = graph + "/tensor_values/x";
  const auto refused = [](const std::string& pointer, const json& value) {
    try {
      read(changed(pointer, value));
      return std::string();
    } catch (const std::exception& error) {
      return std::string(error.what());
    }
  };
  const char* kNoImages = "the network takes a tensor that is not a batch of images [N, C, H, W] in float32";
  CHECK(refused(x + "/dtype", 1) == kNoImages);
  CHECK(refused(x + "/sizes", json::array({{{"as_int", 4}}})) == kNoImages);
  CHECK(refused(x + "/sizes/0", json::object()) == "no graph of torch.export: it lacks as_expr");
  CHECK(refused(x + "/sizes/0/as_expr/expr_str", "Mul(Integer(2), Symbol('s0'))") ==
        "the network takes images of the size Mul(Integer(2), Symbol('s0')) alone; export it with "
        "torch.export.Dim('batch')");
  CHECK(refused("/range_constraints", json::object()) == "no graph of torch.export: it lacks s0");
  CHECK(refused("/range_constraints/s0/max_val", 1) == "the network takes no images");
  CHECK(refused(x + "/sizes/1/as_int", -1) == "the network takes no images");
  CHECK(
      refused("/guards_code", {"L['x'].size()[0] < 8"}) ==
      "the graph is true only if \"L['x'].size()[0] < 8\"; export the network without a branch on the sizes of images");
  CHECK(refused(graph + "/tensor_values", json::object()) == "no graph of torch.export: it lacks x");
  CHECK(refused(graph + "/outputs/1", tensor_argument("y")) ==
        "the network gives 2 results; export one that returns only its logits");
  CHECK(refused("/graph_module/signature/input_specs/0", {{"user_input", {{"arg", tensor_argument("p")}}}}) ==
        "the network takes 2 inputs; export one that takes only a batch of images");
}
