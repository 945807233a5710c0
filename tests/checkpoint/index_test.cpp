#include "checkpoint/index.h"

#include <torch/utils.h>

#include <cmath>

#include "base/sha256.h"
#include "catch.h"
#include "checkpoint/files.h"
#include "models/registry.h"
#include "temporary_folder.h"
#include "without_checksums.h"

using namespace lossatlas;
using namespace lossatlas::testing;

namespace {

const StoredTensor& stored(const CheckpointIndex& index, const std::string& name) {
  for (const StoredTensor& tensor : index.tensors) {
    if (tensor.name == name) return tensor;
  }
  throw Error("no tensor {}", name);
}

torch::Tensor numbers(const CheckpointIndex& index, const StoredTensor& tensor, std::int64_t first,
                      std::int64_t count) {
  const auto out = torch::full({count}, -7.F);
  TensorReader(index).read(tensor, first, {out.data_ptr<float>(), static_cast<std::size_t>(count)});
  return out;
}

/// What the index lacks of a read_checkpoint of the same file; "" for nothing.
std::string difference(const std::string& name) {
  const Checkpoint whole = read_checkpoint(reference(name));
  const CheckpointIndex index = index_checkpoint(reference(name));
  if (index.format != whole.format) return "format";
  if (index.metadata != whole.metadata) return "metadata";
  if (index.tensors.size() != whole.tensors.size()) return "tensors";
  for (std::size_t t = 0; t < whole.tensors.size(); ++t) {
    const auto& [label, tensor] = whole.tensors[t];
    const StoredTensor& found = index.tensors[t];
    if (found.name != label || at::IntArrayRef(found.sizes) != tensor.sizes()) return label;
    if (found.type != tensor.scalar_type()) return label + ": type";
    if (tensor.is_complex()) continue;
    const auto expected = tensor.reshape({-1}).to(torch::kFloat);
    if (!numbers(index, found, 0, tensor.numel()).equal(expected)) return label + ": numbers";
    if (tensor.numel() < 3) continue;
    if (!numbers(index, found, 1, tensor.numel() - 2).equal(expected.slice(0, 1, -1))) return label + ": a part of it";
  }
  return "";
}

}  // namespace

TEST_CASE("an index gives the names, metadata and numbers that reading the whole checkpoint gives") {
  for (const char* name :
       {"batchnorm.pt", "batchnorm-legacy.pt", "legacy-protocol2.pt", "legacy-protocol4.pt", "nested.pt",
        "parameters.pt", "plain-protocol5.pt", "plain.safetensors", "python2-legacy.pt", "torchscript.pt",
        "exported.pt2", "types.pt", "types-legacy.pt", "new-types.pt", "new-types-legacy.pt", "types.safetensors",
        "unusual-type.pt", "views.pt", "views-legacy.pt"}) {
    INFO(name);
    CHECK(difference(name).empty());
  }
}

TEST_CASE("numbers stay in the file unless they are scattered there") {
  for (const char* name : {"batchnorm.pt", "batchnorm-legacy.pt", "plain.safetensors"}) {
    INFO(name);
    for (const StoredTensor& tensor : index_checkpoint(reference(name)).tensors) {
      CHECK(tensor.offset);
      CHECK_FALSE(tensor.tensor.defined());
    }
  }
  std::size_t in_memory = 0;
  for (const StoredTensor& tensor : index_checkpoint(reference("views.pt")).tensors) in_memory += !tensor.offset;
  CHECK(in_memory > 0);
}

TEST_CASE("numbers are read when they are asked for, not before") {
  const TemporaryFolder folder;
  const auto file = folder / "a.pt";
  write_checkpoint(file, {{"w", ramp({2, 3})}}, {{"epoch", 4}});
  const CheckpointIndex index = index_checkpoint(file);
  CHECK(index.metadata.at("epoch") == 4);
  write_checkpoint(file, {{"w", ramp({2, 3}) + 10}}, {{"epoch", 4}});
  CHECK(numbers(index, stored(index, "w"), 2, 3).equal(ramp({3}) + 12));
  const TensorReader reader(index);
  std::vector<float> out(3);
  reader.read(stored(index, "w"), 2, out);
  std::filesystem::resize_file(file, 100);
  CHECK_THROWS_WITH(reader.read(stored(index, "w"), 2, out),
                    ContainsSubstring("a.pt") && ContainsSubstring("breaks off"));
  CHECK_THROWS_WITH(numbers(index, stored(index, "w"), 2, 3),
                    ContainsSubstring("a.pt") && ContainsSubstring("breaks off"));
  std::filesystem::remove(file);
  CHECK_THROWS_WITH(TensorReader(index), ContainsSubstring("a.pt") && ContainsSubstring("cannot be opened"));
}

TEST_CASE("a zip is known by the checksums in it, whatever its name, and other files by their bytes") {
  const TemporaryFolder folder;
  const auto digest = [&](const std::string& name) { return digest_of(index_checkpoint(folder / name)); };
  write_checkpoint(folder / "a.pt", {{"w", ramp({2, 3})}}, {});
  std::filesystem::copy_file(folder / "a.pt", folder / "b.pt");
  CHECK(digest("a.pt") == digest("b.pt"));
  CHECK(digest("a.pt") != sha256_of_text(content_of(folder / "a.pt")));
  auto other = ramp({2, 3});
  other[1][2] = std::nextafter(other[1][2].item<float>(), 0.F);
  write_checkpoint(folder / "b.pt", {{"w", other}}, {});
  CHECK(digest("a.pt") != digest("b.pt"));
  write_checkpoint(folder / "b.pt", {{"v", ramp({2, 3})}}, {});
  CHECK(digest("a.pt") != digest("b.pt"));
  for (const char* name : {"batchnorm-legacy.pt", "plain.safetensors"}) {
    CHECK(digest_of(index_checkpoint(reference(name))) == sha256_of_text(content_of(reference(name))));
  }
}

TEST_CASE("a zip without checksums is known by its bytes") {
  const TemporaryFolder folder;
  const auto file = folder / "a.pt";
  write_checkpoint(file, {{"w", ramp({2, 3})}}, {});
  write_file(file, without_checksums(content_of(file)));
  CHECK(index_checkpoint(file).checksums.empty());
  CHECK(digest_of(index_checkpoint(file)) == sha256_of_text(content_of(file)));
}

TEST_CASE("numbers that are not those of the index are refused, whatever the format and however they are read") {
  const TemporaryFolder folder;
  const auto original = content_of(reference("plain.safetensors"));
  const auto zip = folder / "a.pt", bare = folder / "b.pt", safetensors = folder / "c.safetensors";
  write_checkpoint(zip, {{"w", ramp({2, 300})}}, {});
  write_file(bare, without_checksums(content_of(zip)));
  write_file(safetensors, original);
  for (const auto& file : {zip, bare, safetensors}) {
    for (const bool stays_open : {true, false}) {
      INFO(file.string());
      const CheckpointIndex index = index_checkpoint(file);
      const StoredTensor& tensor = index.tensors.back();
      const auto half = static_cast<std::size_t>(tensor.numel() / 2), all = static_cast<std::size_t>(tensor.numel());
      const TensorReader reader(index, stays_open);
      std::vector<float> out(all);
      const auto read_in_parts = [&] {
        reader.read(tensor, static_cast<std::int64_t>(half), std::span(out).subspan(half));
        reader.read(tensor, 0, std::span(out).first(half));
      };
      CHECK_NOTHROW(read_in_parts());
      CHECK_NOTHROW(read_in_parts());
      const std::string content = content_of(file);
      std::string other = content;
      other[*tensor.offset] = static_cast<char>(other[*tensor.offset] ^ 1);
      std::ofstream(file, std::ios::binary | std::ios::in) << other;  // in place
      CHECK_THROWS_WITH(read_in_parts(),
                        ContainsSubstring(file.string()) && ContainsSubstring("does not have its CRC-32"));
      std::ofstream(file, std::ios::binary | std::ios::in) << content;
    }
  }
}

TEST_CASE("a checkpoint is known by the bytes that were read") {
  for (const char* name : {"batchnorm.pt", "batchnorm-legacy.pt", "plain.safetensors", "torchscript.pt"}) {
    CHECK(read_checkpoint(reference(name)).sha256 == sha256_of_text(content_of(reference(name))));
  }
}

TEST_CASE("what does not fit a network is refused as if the whole checkpoint were read") {
  const TemporaryFolder folder;
  NetworkSpec spec;
  spec.architecture = "linear";
  const auto network = make_network(spec);
  const NetworkTensors state = state_of(*network);
  write_checkpoint(folder / "good.pt", state.parameters, {});
  CheckpointIndex good = index_checkpoint(folder / "good.pt");
  CHECK_NOTHROW(check_fit(good, state_of(*network), "linear"));
  write_checkpoint(folder / "bad.pt", {{"linear.weight", torch::zeros({3, 3})}}, {});
  CheckpointIndex bad = index_checkpoint(folder / "bad.pt");
  std::string expected;
  try {
    load_into(read_checkpoint(folder / "bad.pt"), state_of(*network), "linear", folder / "bad.pt");
  } catch (const Error& error) {
    expected = error.what();
  }
  CHECK_THROWS_WITH(check_fit(bad, state_of(*network), "linear"), expected);
  CHECK(expected.find("linear.weight is [3, 3] there") != std::string::npos);
}

TEST_CASE("a state is read into tensors that are there") {
  const TemporaryFolder folder;
  write_checkpoint(folder / "a.pt",
                   {{"bn.running_var", ramp({2}) + 5},
                    {"bn.num_batches_tracked", torch::tensor(9)},
                    {"w", ramp({2, 2}).to(torch::kDouble)}},
                   {});
  const NetworkTensors state{{{"w", torch::zeros({2, 2})}},
                             {{"bn.running_var", torch::zeros({2})}, {"bn.num_batches_tracked", torch::tensor(1)}}};
  read_state(index_checkpoint(folder / "a.pt"), state);
  CHECK(state.parameters[0].tensor.equal(ramp({2, 2})));
  CHECK(state.buffers[0].tensor.equal(ramp({2}) + 5));
  CHECK(state.buffers[1].tensor.item<std::int64_t>() == 1);
}
