#include "landscape/checkpoint_plane.h"

#include <torch/utils.h>

#include <cmath>

#include "base/error.h"
#include "catch.h"
#include "engines.h"
#include "evaluation/evaluator.h"
#include "models/registry.h"

using namespace lossatlas;

namespace {

NetworkSpec spec_of() {
  NetworkSpec spec;
  spec.architecture = "resnet20";
  spec.width = 4;
  return spec;
}

/// A network of its own for each seed, batch-norm statistics included.
NamedState network(int seed) {
  torch::manual_seed(static_cast<std::uint64_t>(seed));
  const auto made = make_network(spec_of());
  const torch::NoGradGuard no_gradients;
  auto state = copy_state(state_of(*made), torch::kCPU);
  for (auto& [name, buffer] : state.buffers) {
    if (buffer.is_floating_point()) buffer.uniform_(0.5, 1.5);
  }
  return {"network-" + std::to_string(seed), state};
}

bool near(const std::vector<NamedTensor>& a, const std::vector<NamedTensor>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].tensor.is_floating_point() && !torch::allclose(a[i].tensor, b[i].tensor, 1e-5, 1e-6)) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("a plane through three states holds all of them, statistics and losses too") {
  const NamedState a = network(1), b = network(2), c = network(3);
  const Plane plane{a.state, directions_through(a, std::vector{b, c}, DirectionType::states)};
  CHECK(norm(plane.directions[1]) == Approx(norm(plane.directions[0])));
  CHECK(std::abs(cosine(plane.directions[0], plane.directions[1])) < 1e-7);
  const Engine engine =
      engine_over({spec_of()}, std::make_shared<const DataSet>(load_data("synthetic:40", Split::train)));
  const auto evaluator = engine.make_evaluator();
  for (const NamedState* state : {&a, &b, &c}) {
    const Projection at = project(state->state, plane);
    CHECK(at.distance == 0);
    NetworkState point = copy_state(a.state, torch::kCPU);
    place(plane, at.coordinates, point);
    CHECK(near(point.parameters, state->state.parameters));
    CHECK(near(point.buffers, state->state.buffers));
    CHECK(evaluator->evaluate(point).loss == Approx(evaluator->evaluate(state->state).loss).epsilon(1e-4));
  }
  CHECK(project(b.state, plane).coordinates[0] == Approx(1));
}

TEST_CASE("with weights the statistics stay, and no type moves the counters") {
  const NamedState a = network(1);
  NamedState b = network(2);
  for (auto& [name, buffer] : b.state.buffers) {
    if (!buffer.is_floating_point()) buffer.fill_(7);
  }
  for (const DirectionType type : {DirectionType::weights, DirectionType::states}) {
    const Plane line{a.state, {direction_between(a, b, type)}};
    NetworkState point = copy_state(a.state, torch::kCPU);
    place(line, std::array{1.0}, point);
    CHECK(near(point.parameters, b.state.parameters));
    CHECK(near(point.buffers, (type == DirectionType::states ? b : a).state.buffers));
    CHECK(point.buffers[2].tensor.item<int>() == 0);
  }
}

TEST_CASE("coordinates and distance of a state beside the plane") {
  const NamedState a = network(1), b = network(2), c = network(3);
  const Plane plane{a.state, directions_through(a, std::vector{b, c}, DirectionType::weights)};
  const Plane line{a.state, {plane.directions[0]}};
  NetworkState point = copy_state(a.state, torch::kCPU);
  place(plane, std::array{0.25, -0.5}, point);
  const Projection on = project(point, plane), off = project(point, line);
  CHECK(on.coordinates[0] == Approx(0.25));
  CHECK(on.coordinates[1] == Approx(-0.5));
  CHECK(on.distance == 0);
  CHECK(off.coordinates[0] == Approx(0.25));
  CHECK(off.distance == Approx(0.5 * norm(plane.directions[1])));
}

TEST_CASE("equal states and three on one line span nothing") {
  const NamedState a = network(1), b = network(2);
  CHECK_THROWS_WITH(direction_between(a, a, DirectionType::weights), ContainsSubstring("network-1"));
  CHECK_THROWS_WITH(directions_through(a, std::vector{b, b}, DirectionType::states), ContainsSubstring("network-2"));
  NamedState between{"between", copy_state(a.state, torch::kCPU)};
  place({a.state, {direction_between(a, b, DirectionType::weights)}}, std::array{0.3}, between.state);
  CHECK_THROWS_WITH(directions_through(a, std::vector{b, between}, DirectionType::weights),
                    ContainsSubstring("lie on one line"));
}
