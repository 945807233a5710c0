#include <torch/utils.h>

#include "catch.h"
#include "checkpoint/files.h"
#include "temporary_folder.h"

using namespace lossatlas;
using namespace lossatlas::testing;

TEST_CASE("a state_dict reads the same from every format and protocol") {
  const auto [name, format] = GENERATE(table<std::string, std::string>({
      {"plain-protocol2.pt", "PyTorch zip"},
      {"plain-protocol3.pt", "PyTorch zip"},
      {"plain-protocol4.pt", "PyTorch zip"},
      {"plain-protocol5.pt", "PyTorch zip"},
      {"legacy-protocol2.pt", "PyTorch legacy"},
      {"legacy-protocol3.pt", "PyTorch legacy"},
      {"legacy-protocol4.pt", "PyTorch legacy"},
      {"legacy-protocol5.pt", "PyTorch legacy"},
      {"nested.pt", "PyTorch zip"},
      {"plain.safetensors", "safetensors"},
  }));
  CAPTURE(name);
  const Checkpoint checkpoint = read_checkpoint(reference(name));
  CHECK(checkpoint.format == format);
  CHECK(names_of(checkpoint.tensors) == std::vector<std::string>{"conv.weight", "conv.bias"});
  CHECK(same(find(checkpoint.tensors, "conv.weight"), ramp({2, 1, 3, 3})));
  CHECK(same(find(checkpoint.tensors, "conv.bias"), ramp({2}) + 100));
  CHECK(checkpoint.groups.empty());
}

TEST_CASE("every type of element is kept as it is, and so are scalars and empty tensors") {
  const std::string name = GENERATE("types.pt", "types-legacy.pt", "types.safetensors");
  CAPTURE(name);
  const Checkpoint checkpoint = read_checkpoint(reference(name));
  const std::vector<std::pair<std::string, torch::ScalarType>> types{
      {"float64", torch::kFloat64}, {"float32", torch::kFloat32},   {"float16", torch::kFloat16},
      {"int64", torch::kInt64},     {"bfloat16", torch::kBFloat16}, {"int32", torch::kInt32},
      {"int16", torch::kInt16},     {"int8", torch::kInt8},         {"uint8", torch::kUInt8}};
  for (const auto& [type_name, type] : types) {
    CAPTURE(type_name);
    CHECK(same(find(checkpoint.tensors, type_name), ramp({3}).to(type)));
  }
  CHECK(same(find(checkpoint.tensors, "bool"), torch::tensor({true, false, true})));
  CHECK(same(find(checkpoint.tensors, "scalar"), torch::tensor(7.5F)));
  CHECK(same(find(checkpoint.tensors, "empty"), torch::empty({0, 4})));
}

TEST_CASE("types newer than storages of their own are kept as well") {
  const Checkpoint checkpoint = read_checkpoint(reference(GENERATE("new-types.pt", "new-types-legacy.pt")));
  for (const auto type : {torch::kUInt16, torch::kUInt32, torch::kUInt64, torch::kFloat8_e4m3fn,
                          torch::kFloat8_e4m3fnuz, torch::kFloat8_e5m2, torch::kFloat8_e5m2fnuz}) {
    CAPTURE(type);
    const torch::Tensor tensor = find(checkpoint.tensors, c10::toString(type));
    CHECK(tensor.scalar_type() == type);
    CHECK(tensor.to(torch::kDouble).equal(torch::tensor({1.0, 2.0, 3.0, 4.0, 5.0, 6.0}, torch::kDouble).view({2, 3})));
  }
  CHECK(find(checkpoint.tensors, "Float8_e8m0fnu").to(torch::kDouble).equal(torch::tensor({0.5, 4.0}, torch::kDouble)));
  CHECK(checkpoint.metadata["steps"] == 18446744073709551615U);
}

TEST_CASE("views of shared storages become contiguous tensors of their own") {
  const std::string name = GENERATE("views.pt", "views-legacy.pt");
  CAPTURE(name);
  const Checkpoint checkpoint = read_checkpoint(reference(name));
  const torch::Tensor base = ramp({3, 4});
  CHECK(same(find(checkpoint.tensors, "whole"), base));
  CHECK(same(find(checkpoint.tensors, "transposed"), base.t().contiguous()));
  CHECK(same(find(checkpoint.tensors, "row"), base[1]));
  CHECK(same(find(checkpoint.tensors, "every_other"), torch::tensor({{0.F, 2.F}, {4.F, 6.F}, {8.F, 10.F}})));
  CHECK(same(find(checkpoint.tensors, "expanded"), torch::full({2, 3}, 5.F)));
  CHECK(same(find(checkpoint.tensors, "channels_last"), ramp({1, 2, 2, 2})));
  find(checkpoint.tensors, "whole").zero_();
  CHECK(same(find(checkpoint.tensors, "tied"), base));
  CHECK(same(find(checkpoint.tensors, "row"), base[1]));
}

TEST_CASE("parameters read like tensors, also those that carry attributes") {
  const Checkpoint checkpoint = read_checkpoint(reference("parameters.pt"));
  CHECK(same(find(checkpoint.tensors, "weight"), ramp({2, 3})));
  CHECK(same(find(checkpoint.tensors, "bias"), ramp({3})));
  CHECK(checkpoint.metadata == nlohmann::json{{"acc", 50.5}});
}

TEST_CASE("a checkpoint of Python 2 and PyTorch 0.3 is read") {
  const Checkpoint checkpoint = read_checkpoint(reference("python2-legacy.pt"));
  CHECK(names_of(checkpoint.tensors) == std::vector<std::string>{"weight", "bias"});
  CHECK(same(find(checkpoint.tensors, "weight"), ramp({2, 3})));
  CHECK(same(find(checkpoint.tensors, "bias"), torch::tensor({4.F, 5.F})));
  CHECK(checkpoint.metadata == nlohmann::json{{"acc", 87.5}, {"epoch", 9}});
}

TEST_CASE("what stands beside the state_dict is sorted into metadata and groups") {
  const std::string name = GENERATE("batchnorm.pt", "batchnorm-legacy.pt");
  CAPTURE(name);
  const Checkpoint checkpoint = read_checkpoint(reference(name));
  CHECK(names_of(checkpoint.tensors) == std::vector<std::string>{"0.weight", "1.weight", "1.bias", "1.running_mean",
                                                                 "1.running_var", "1.num_batches_tracked"});
  CHECK(same(find(checkpoint.tensors, "1.num_batches_tracked"), torch::tensor(1, torch::kLong)));

  const nlohmann::json& metadata = checkpoint.metadata;
  CHECK(metadata["epoch"] == 3);
  CHECK(metadata["acc"] == 93.25);
  CHECK(metadata["loss"] == 0.5);
  CHECK(metadata["steps"] == -40000000000);
  CHECK(metadata["best"] == 91.5);
  CHECK(metadata["arch"] == "resnet");
  CHECK(metadata["args"] ==
        nlohmann::json{{"lr", {0.1, 0.01}}, {"nesterov", true}, {"device", "cpu"}, {"none", nullptr}});
  CHECK(metadata["shape"] == nlohmann::json{3, 32, 32});
  CHECK(metadata["seed"] == std::uint64_t{18446744073709551615U});
  CHECK(metadata["schedule"]["milestones"] == nlohmann::json{{"3", 1}, {"5", 1}});
  // Of Python's optimizer the settings are kept, not the tensors.
  CHECK(metadata["optimizer"]["param_groups"][0]["momentum"] == 0.9);
  CHECK_FALSE(metadata["optimizer"].contains("state"));
  for (const char* absent : {"state_dict", "image", "raw", "ema"}) {
    CAPTURE(absent);
    CHECK_FALSE(metadata.contains(absent));
  }

  REQUIRE(checkpoint.groups.size() == 1);
  CHECK(names_of(checkpoint.groups.at("ema")) == std::vector<std::string>{"mean", "rate"});
  CHECK(same(find(checkpoint.groups.at("ema"), "mean"), ramp({2})));
}

TEST_CASE("the metadata of safetensors is kept") {
  const Checkpoint checkpoint = read_checkpoint(reference("plain.safetensors"));
  CHECK(checkpoint.metadata == nlohmann::json{{"epoch", "3"}, {"format", "pt"}});
}

TEST_CASE("a TorchScript file gives its tensors") {
  const Checkpoint checkpoint = read_checkpoint(reference("torchscript.pt"));
  CHECK(checkpoint.format == kScriptFormat);
  CHECK(names_of(checkpoint.tensors) == std::vector<std::string>{"weight", "bias"});
  CHECK(find(checkpoint.tensors, "weight").sizes() == torch::IntArrayRef({1, 2}));
}

TEST_CASE("what is no checkpoint is refused by what it looks like") {
  const auto [name, text] = GENERATE(table<std::string, std::string>({
      {"big-endian.pt", "big-endian machine"},
      {"no-state.pt", "holds no state_dict: its entries are 'epoch', 'backbone'"},
      {"one-tensor.pt", "holds a single tensor, not a state_dict"},
      {"complex.pt", "'weight': a complex tensor, which is not read; save torch.view_as_real() of it"},
      {"absent.pt", "No such file or directory"},
      {".", "is a folder"},
  }));
  const std::string message = refusal(reference(name));
  CHECK_THAT(message, ContainsSubstring(text));
  CHECK(message.starts_with(reference(name).string() + ": "));
}

TEST_CASE("the first bytes of a file that is no checkpoint say what it is") {
  const auto [content, text] = GENERATE(table<std::string, std::string>({
      {"", "is empty"},
      {R"({"metadata": {"total_size": 8}, "weight_map": {}})", "in several files, but names none"},
      {"\x89HDF\r\n\x1a\n and more", "is an HDF5 file"},
      {"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"},
      {"<!DOCTYPE html><html></html>", "web page"},
      {"epoch,loss\n1,2.5\n", "is a text file"},
      {"\x80\x02}.", "is a pickle, but not one that torch.save wrote"},
      {std::string("\x01\x02\x03\x04", 4), "is not a checkpoint"},
      {"PK\x03\x04 and no more of it", "is damaged or incomplete"},
      {"PK\x03\x04" + std::string(22, '\0') + std::string("\x05\0\0\0", 4) + "a.npy and data/0",
       "is a zip archive that torch.save did not write: 'a.npy' is not in a folder"},
      {std::string("GGUF\3\0\0\0", 8), "is a GGUF file"},
      {"\x81\xa6params\x80", "seems to be msgpack, as Flax writes it"},
  }));
  const TemporaryFolder folder;
  write_file(folder / "file.pt", content);
  CHECK_THAT(refusal(folder / "file.pt"), ContainsSubstring(text));
}

TEST_CASE("a part of what torch.distributed.checkpoint saved is known by its name") {
  const TemporaryFolder folder;
  write_file(folder / "__0_0.distcp", content_of(reference("batchnorm.pt")));
  CHECK_THAT(refusal(folder / "__0_0.distcp"), ContainsSubstring("format_utils dcp_to_torch FOLDER FILE"));
}
