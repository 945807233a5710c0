#include "models/state.h"

#include <torch/types.h>

#include "catch.h"

using namespace lossatlas;

namespace {

NetworkTensors some_tensors() {
  return {{{"w", torch::arange(6, torch::kFloat64).view({2, 3}).t()}, {"b", torch::full({70}, 2.5)}},
          {{"mean", torch::tensor({7.f, 8.f})}, {"count", torch::tensor(9)}, {"var", torch::tensor({5.f, 6.f})}},
          {{"tied", "w"}}};
}

std::ptrdiff_t place_of(const NamedTensor& view, const NetworkState& state) {
  return view.tensor.data_ptr<float>() - state.flat.data_ptr<float>();
}

}  // namespace

TEST_CASE("a state is one vector: parameters, then statistics, each from a multiple of 64 numbers on") {
  const NetworkTensors given = some_tensors();
  const NetworkState state = copy_state(given, torch::kCPU);
  REQUIRE(state.flat.sizes() == torch::IntArrayRef({64 + 128 + 64 + 64}));
  CHECK(state.flat.scalar_type() == torch::kFloat32);
  CHECK(state.parameter_end == 64 + 128);
  CHECK(place_of(state.parameters[0], state) == 0);
  CHECK(place_of(state.parameters[1], state) == 64);
  CHECK(place_of(state.buffers[0], state) == 192);
  CHECK(place_of(state.buffers[2], state) == 256);
  CHECK(state.buffers[1].tensor.item<std::int64_t>() == 9);  // apart
  CHECK(state.parameters[0].name == "w");
  CHECK(state.aliases[0].of == "w");
  CHECK(torch::equal(state.parameters[0].tensor, torch::tensor({{0.f, 3.f}, {1.f, 4.f}, {2.f, 5.f}})));
  CHECK(state.parameters[0].tensor.is_contiguous());
  CHECK(state.flat.sum().item<double>() == 15 + 70 * 2.5 + 15 + 11);  // zeros between the views
  state.flat[256] = 1;
  CHECK(state.buffers[2].tensor[0].item<float>() == 1);
}

TEST_CASE("a copy has memory of its own, a state on its own device the same") {
  const NetworkState state = copy_state(some_tensors(), torch::kCPU);
  const NetworkState copy = copy_state(state, torch::kCPU), there = state_on(state, torch::kCPU);
  CHECK(torch::equal(copy.flat, state.flat));
  CHECK(copy.flat.data_ptr() != state.flat.data_ptr());
  CHECK(there.flat.data_ptr() == state.flat.data_ptr());
  CHECK(there.parameters[1].tensor.data_ptr() == state.parameters[1].tensor.data_ptr());
  copy.buffers[1].tensor.fill_(3);
  CHECK(state.buffers[1].tensor.item<std::int64_t>() == 9);
  CHECK_FALSE(copy_state({{{"w", torch::ones({2}).requires_grad_()}}, {}}, torch::kCPU).flat.requires_grad());
}

TEST_CASE("zeros have a state's layout, or that of its parameters") {
  const NetworkState state = copy_state(some_tensors(), torch::kCPU);
  const NetworkState all = zeros_like(state, StatePart::all), some = zeros_like(state, StatePart::parameters);
  CHECK(all.flat.sizes() == state.flat.sizes());
  CHECK(all.flat.count_nonzero().item<int>() == 0);
  CHECK(all.buffers[1].tensor.item<int>() == 0);
  CHECK(some.flat.numel() == state.parameter_end);
  CHECK(some.buffers.empty());
}
