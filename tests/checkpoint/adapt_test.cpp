// Names and weights as other scripts leave them.
#include "checkpoint/adapt.h"

#include <torch/utils.h>

#include "catch.h"
#include "checkpoint/files.h"
#include "checkpoint/index.h"
#include "models/registry.h"
#include "temporary_folder.h"

using namespace lossatlas;
using namespace lossatlas::testing;

namespace {

using Strings = std::vector<std::string>;

/// A network with these names, and tied ones.
NetworkTensors network(const Strings& names, const std::vector<Alias>& aliases = {}) {
  NetworkTensors state;
  for (const std::string& name : names) state.parameters.push_back({name, torch::zeros({2, 3})});
  state.aliases = aliases;
  return state;
}

/// What is stripped and added; "none" where nothing helps.
std::string renaming(const Strings& file, const NetworkTensors& state) {
  const auto found = renaming_for(file, state);
  return found ? fmt::format("-{}+{}", found->stripped, found->added) : "none";
}

}  // namespace

TEST_CASE("a prefix that all names of the file share is stripped, one of the network's own added") {
  const NetworkTensors plain = network({"conv.weight", "fc.bias"}),
                       own = network({"model.conv.weight", "model.fc.bias"});
  CHECK(renaming({"conv.weight", "fc.bias"}, plain) == "-+");
  CHECK(renaming({"model.conv.weight", "model.fc.bias"}, plain) == "-model.+");
  CHECK(renaming({"a.b.c.conv.weight", "a.b.c.fc.bias", "a.b.c.more"}, plain) == "-a.b.c.+");
  CHECK(renaming({"model.conv.weight", "model.fc.bias"}, own) == "-+");
  CHECK(renaming({"x.model.conv.weight", "x.model.fc.bias"}, own) == "-x.+");
  CHECK(renaming({"conv.weight", "fc.bias"}, own) == "-+model.");
  CHECK(renaming({"model.conv.weight", "net.fc.bias"}, plain) == "none");
  CHECK(renaming({"model.conv.weight"}, plain) == "none");
  CHECK(renaming({}, plain) == "none");
  // What may be missing, and a tensor by another of its names.
  CHECK(renaming({"m.a"}, network({"a", "num_batches_tracked"})) == "-m.+");
  CHECK(renaming({"m.b", "m.c"}, network({"a", "c"}, {{"b", "a"}})) == "-m.+");
  CHECK(renaming({"conv.weight", "conv.bias"}, network({"conv.weight", "conv.bias"})) == "-+");
}

TEST_CASE("parts that wrappers put inside names are stripped, if the network then fits") {
  const NetworkTensors plain = network({"a.w", "b.c.w"});
  const auto found = renaming_for({"m.a._orig_mod.w", "m.b._checkpoint_wrapped_module.c._orig_mod.w"}, plain);
  REQUIRE(found);
  CHECK((*found)("m.a._orig_mod.w") == "a.w");
  CHECK((*found)("m.b._checkpoint_wrapped_module.c._orig_mod.w") == "b.c.w");
  CHECK(note_of(*found, "") ==
        "names begin with 'm.', which was stripped; names hold '_orig_mod.', '_checkpoint_wrapped_module.', which was "
        "stripped");
  CHECK(renaming({"a._orig_mod.w", "b.c.w", "a.w"}, network({"a.w", "b.c.w", "d"})) == "none");  // two of one name
  CHECK(renaming_for({"a._orig_mod.w", "b.c.w"}, network({"a._orig_mod.w", "b.c.w"}))->unwrapped.empty());
}

TEST_CASE("halves of weights are known by their names") {
  const auto wholes = [](const Strings& names) {
    Strings found;
    for (const Halves& halves : halves_in(names)) found.push_back(halves.whole);
    return found;
  };
  CHECK(wholes({"a.weight_orig", "a.weight_mask", "a.bias"}) == Strings{"a.weight"});
  CHECK(wholes({"weight_v", "weight_g"}) == Strings{"weight"});
  CHECK(wholes({"parametrizations.weight.original0", "parametrizations.weight.original1"}) == Strings{"weight"});
  CHECK(wholes({"a.parametrizations.w.original0", "a.parametrizations.w.original1"}) == Strings{"a.w"});
  CHECK(wholes({"a.weight_orig", "b.weight_mask"}).empty());
  CHECK(wholes({"a.weight_g", "a.weight_v", "a.weight"}).empty());
  CHECK(wholes({"x.original0", "x.original1", ".original0", ".original1", "parametrizations.original0"}).empty());
  CHECK(joined_names({"b", "a_orig", "c", "a_mask"}, halves_in({"a_orig", "a_mask"})) == Strings{"b", "a", "c"});
}

TEST_CASE("weights are put together by mask, and by length and direction") {
  const Halves pruned{"w", "w_orig", "w_mask", true}, normed{"w", "w_g", "w_v", false};
  const auto v = torch::tensor({{3.F, 4.F}, {0.F, 2.F}});
  CHECK(
      put_together(pruned, v, torch::tensor({{1.F, 0.F}, {0.F, 1.F}})).equal(torch::tensor({{3.F, 0.F}, {0.F, 2.F}})));
  CHECK(put_together(normed, torch::tensor({{10.F}, {-1.F}}), v).allclose(torch::tensor({{6.F, 8.F}, {0.F, -1.F}})));
  CHECK_THROWS_WITH(put_together(normed, torch::ones({1, 2}), v), ContainsSubstring("w_g [1, 2] and w_v [2, 2]"));
  CHECK_THROWS_WITH(put_together(pruned, torch::ones({2}), v), ContainsSubstring("do not match"));
}

TEST_CASE("an index gives the numbers that loading gives, whatever the names and halves") {
  const TemporaryFolder folder;
  NetworkSpec spec;
  spec.architecture = "linear";
  spec.classes = 10;
  const NetworkTensors state = state_of(*make_network(spec));
  const auto weight = ramp({10, 3072}) / 1000, mask = (ramp({10, 3072}).remainder(3) > 0).to(torch::kFloat);
  const auto bias = ramp({10});
  std::vector<NamedTensor> tensors{
      {"net.linear.weight_orig", weight}, {"net.linear.weight_mask", mask}, {"net.linear.bias", bias}};
  torch::Tensor whole = weight * mask;
  std::string note = "1 weight is pruned: multiplied by the mask";
  SECTION("pruned") {}
  SECTION("weight norm") {
    const auto length = ramp({10, 1}) + 1;
    tensors = {{"net.linear.parametrizations.weight.original0", length},
               {"net.linear.parametrizations.weight.original1", weight + 1},
               {"net.linear.bias", bias}};
    whole = torch::_weight_norm(weight + 1, length, 0);
    note = "1 weight is stored as length and direction (weight norm): put together";
  }
  const Strings notes{"names begin with 'net.', which was stripped", note};
  write_checkpoint(folder / "a.pt", tensors, nullptr);
  CHECK(load_into(read_checkpoint(folder / "a.pt"), state, "linear", folder / "a.pt") == notes);
  CHECK(find(state.parameters, "linear.weight").detach().equal(whole));
  CHECK(find(state.parameters, "linear.bias").detach().equal(bias));

  CheckpointIndex index = index_checkpoint(folder / "a.pt");
  CHECK(check_fit(index, state, "linear") == notes);
  const NetworkState read = zeros_like(state, StatePart::all);
  read_state(index, read);
  CHECK(find(read.parameters, "linear.weight").equal(whole));
  CHECK(find(read.parameters, "linear.bias").equal(bias));

  spec.input = {3, 32, 32};
  const auto fitting = fitting_architectures(read_checkpoint(folder / "a.pt"), spec);
  CHECK(fitting == Strings{"linear"});
}
