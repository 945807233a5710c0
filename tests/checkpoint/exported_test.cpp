#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "catch.h"
#include "checkpoint/files.h"
#include "checkpoint/index.h"
#include "models/exported_network.h"
#include "temporary_folder.h"
#include "without_checksums.h"

using namespace lossatlas;
using namespace lossatlas::testing;

namespace {

using Names = std::vector<std::string>;

std::vector<float> expected(const char* what) {
  return nlohmann::json::parse(content_of(reference("exported.json"))).at(what).get<std::vector<float>>();
}

NetworkSpec spec_of(const Checkpoint& checkpoint) {
  NetworkSpec spec;
  spec.architecture = "torch.export";
  spec.classes = 3;
  spec.input = {2, 4, 4};
  spec.script = "exported.pt2";
  spec.exported = checkpoint.exported;
  return spec;
}

torch::Tensor images() { return ramp({3, 2, 4, 4}).remainder(7).div(3).sub(1); }

/// The refusal of the reference file with a text of it replaced by another of the same length.
std::string refusal_of(const std::string& text, const std::string& other) {
  const TemporaryFolder folder;
  std::string content = without_checksums(content_of(reference("exported.pt2")));
  const std::size_t place = content.find(text);
  REQUIRE(place != std::string::npos);
  REQUIRE(text.size() == other.size());
  write_file(folder / "net.pt2", content.replace(place, text.size(), other));
  const std::string message = refusal(folder / "net.pt2");
  CHECK(message.starts_with((folder / "net.pt2").string() + ": "));
  return message;
}

}  // namespace

TEST_CASE("a file of torch.export gives its tensors, tied ones once") {
  const Checkpoint checkpoint = read_checkpoint(reference("exported.pt2"));
  CHECK(checkpoint.format == kExportedFormat);
  CHECK(names_of(checkpoint.tensors) == Names{"p", "q", "conv.weight", "conv.bias", "norm.weight", "norm.bias",
                                              "a.weight", "shift", "norm.running_mean", "norm.running_var",
                                              "norm.num_batches_tracked"});
  REQUIRE(checkpoint.aliases.size() == 1);
  CHECK(checkpoint.aliases[0].name == "b.weight");
  CHECK(checkpoint.aliases[0].of == "a.weight");
  CHECK(same(find(checkpoint.tensors, "a.weight"), torch::tensor(expected("weight")).view({4, 4})));
}

TEST_CASE("its network gives PyTorch's logits, for one image too, and those of moved parameters") {
  const torch::NoGradGuard no_gradients;
  const Checkpoint checkpoint = read_checkpoint(reference("exported.pt2"));
  CHECK_NOTHROW(check_exported_network(spec_of(checkpoint)));
  const auto network = make_exported_network(spec_of(checkpoint));
  const torch::Tensor wanted = torch::tensor(expected("logits")).view({3, 3});
  CHECK(torch::allclose(network->forward(images()), wanted, 1e-5, 1e-6));
  CHECK(torch::allclose(network->forward(images().slice(0, 2)), wanted.slice(0, 2), 1e-5, 1e-6));
  for (auto& [name, tensor] : state_of(*network).buffers) {
    if (name == "shift") tensor.add_(2);
  }
  CHECK(torch::allclose(network->forward(images()), wanted + 2, 1e-5, 1e-6));
  CHECK(torch::allclose(make_exported_network(spec_of(checkpoint))->forward(images()), wanted, 1e-5, 1e-6));
}

TEST_CASE("a network of torch.export takes its own images alone") {
  NetworkSpec spec = spec_of(read_checkpoint(reference("exported.pt2")));
  spec.classes = 4;
  CHECK_THROWS_WITH(check_exported_network(spec),
                    "exported.pt2: gives 3 logits for each image, not those of 4 classes");
  spec.input = {2, 5, 4};
  CHECK_THROWS_WITH(check_exported_network(spec), "exported.pt2: the network takes images of 2x4x4, these are 2x5x4");
}

TEST_CASE("a file of torch.export that is not what it says is refused by what is wrong") {
  const auto [text, other, message] = GENERATE(table<std::string, std::string, std::string>({
      {"\"major\": 8", "\"major\": 9", "a graph of schema version 9: this version of lossatlas reads version 8"},
      {"\"use_pickle\": false", "\"use_pickle\": true ", "'p': a tensor of a class of its own"},
      {"\"path_name\": \"weight_0\"", "\"path_name\": \"weight_x\"", "'p': has no record 'data/weights/weight_x'"},
      {"\"sizes\": [{\"as_int\": 3}", "\"sizes\": [{\"as_int\": 9}", "'p': repeats its own numbers"},
      {"\"storage_offset\": {\"as_int\": 0}", "\"storage_offset\": {\"as_int\":-1}",
       "'p': a tensor reaches beyond its storage"},
      {"\"storage_offset\": {\"as_int\": 12}", "\"storage_offset\": {\"as_int\": 11}",
       "p and q are different views of the same numbers"},
      {"\"shift\": {", "\"shaft\": {", "lacks the tensor shift, which its graph reads"},
      {"\"dtype\": 7", "\"dtype\": 0", "'p': the graph uses type of numbers 0, which is not supported"},
      {"\"layout\": 7", "\"layout\": 1", "'p': a tensor that is not dense"},
      {"aten.linear.default", "aten.lineal.default", "graphs may not call this operator"},
      {"\"user_input\"", "\"user_inqut\"", "the graph has an input of the kind user_inqut, which is not supported"},
      {"{\"config\": {\"p\"", "{\"config\": [\"p\"", "data/weights/model_weights_config.json: is not JSON"},
  }));
  CHECK_THAT(refusal_of(text, other), ContainsSubstring(message));
}

TEST_CASE("a file of torch.export with a flipped byte is refused, and with any other ends in an Error or in tensors") {
  const TemporaryFolder folder;
  const std::string whole = content_of(reference("exported.pt2"));
  std::string flipped = whole;
  flipped[whole.find("\"as_int\": 4")] ^= 1;
  write_file(folder / "net.pt2", flipped);
  CHECK_THAT(refusal(folder / "net.pt2"), ContainsSubstring("does not have its CRC-32"));
  const std::string open = without_checksums(whole);
  for (std::size_t place = 0; place < open.size(); place += 97) {
    flipped = open;
    flipped[place] = static_cast<char>(flipped[place] ^ 5);
    write_file(folder / "net.pt2", flipped);
    refusal(folder / "net.pt2");  // any other exception fails the test
    write_file(folder / "net.pt2", open.substr(0, place));
    CHECK(!refusal(folder / "net.pt2").empty());
  }
}
