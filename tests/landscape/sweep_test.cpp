#include "landscape/sweep.h"

#include <torch/utils.h>

#include <cmath>
#include <cstring>

#include "base/error.h"
#include "catch.h"
#include "engines.h"
#include "models/registry.h"
#include "surface/shard.h"
#include "temporary_folder.h"

using namespace lossatlas;

namespace {

NetworkSpec spec_of(const std::string& architecture) {
  NetworkSpec spec;
  spec.architecture = architecture;
  return spec;
}

/// A plane around a freshly initialized network, and an engine over 40 images.
struct Example {
  explicit Example(const std::string& architecture, LossFunction loss = LossFunction::cross_entropy)
      : engine(engine_over({spec_of(architecture), {.batch_size = 16}, loss},
                           std::make_shared<const DataSet>(load_data("synthetic:40", Split::train)))) {
    torch::manual_seed(4);
    plane.origin = copy_state(state_of(*make_network(spec_of(architecture))), torch::kCPU);
    for (std::uint32_t k = 0; k < 2; ++k) plane.directions.push_back(random_direction(plane.origin, k, {}));
  }
  Plane plane;
  Engine engine;
};

bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
}

}  // namespace

TEST_CASE("a point of three directions is rounded once, and at 0 along the third has the bits of two") {
  const Example example("lenet");
  Plane space = example.plane;
  space.directions.push_back(random_direction(space.origin, 2, {}));
  NetworkState flat = copy_state(space.origin, torch::kCPU), point = copy_state(space.origin, torch::kCPU);
  place(example.plane, std::array{0.3, -0.7}, flat);
  place(space, std::array{0.3, -0.7, 0.0}, point);
  for (std::size_t p = 0; p < point.parameters.size(); ++p) {
    CHECK(torch::equal(point.parameters[p].tensor, flat.parameters[p].tensor));
  }
  place(space, std::array{0.3, -0.7, 1.25}, point);
  for (std::size_t p = 0; p < point.parameters.size(); ++p) {
    auto expected = space.origin.parameters[p].tensor.to(torch::kFloat64);
    for (std::size_t k = 0; k < 3; ++k) {
      expected =
          expected + std::array{0.3, -0.7, 1.25}[k] * space.directions[k].parameters[p].tensor.to(torch::kFloat64);
    }
    CHECK(torch::equal(point.parameters[p].tensor, expected.to(torch::kFloat32)));
  }
}

TEST_CASE("a point of the plane is origin plus multiples, rounded once, and the origin exactly at 0") {
  const Example example("lenet");
  NetworkState point = copy_state(example.plane.origin, torch::kCPU);
  place(example.plane, std::array{0.3, -0.7}, point);
  for (std::size_t p = 0; p < point.parameters.size(); ++p) {
    const auto wide = [](const NamedTensor& t) { return t.tensor.to(torch::kFloat64); };
    const auto expected = wide(example.plane.origin.parameters[p]) +
                          0.3 * wide(example.plane.directions[0].parameters[p]) +
                          -0.7 * wide(example.plane.directions[1].parameters[p]);
    CHECK(torch::equal(point.parameters[p].tensor, expected.to(torch::kFloat32)));
  }
  place(example.plane, std::array{0.0, 0.0}, point);
  for (std::size_t p = 0; p < point.parameters.size(); ++p) {
    CHECK(torch::equal(point.parameters[p].tensor, example.plane.origin.parameters[p].tensor));
  }
}

TEST_CASE("a point along three directions, of more numbers than are placed at a time, is rounded once") {
  Example example("resnet20");
  example.plane.directions.push_back(random_direction(example.plane.origin, 2, {}));
  NetworkState point = copy_state(example.plane.origin, torch::kCPU);
  REQUIRE(point.flat.numel() > 5000);
  place(example.plane, std::array{0.3, -0.7, 1.1}, point);
  const auto wide = [](const NetworkState& state) {
    return state.flat.narrow(0, 0, state.parameter_end).to(torch::kFloat64);
  };
  const auto& d = example.plane.directions;
  const auto expected = wide(example.plane.origin) + 0.3 * wide(d[0]) + -0.7 * wide(d[1]) + 1.1 * wide(d[2]);
  CHECK(torch::equal(point.flat.narrow(0, 0, point.parameter_end), expected.to(torch::kFloat32)));
  CHECK(torch::equal(point.buffers[0].tensor, example.plane.origin.buffers[0].tensor));  // statistics stay
}

TEST_CASE("planes are made when they are asked for, and the two used last are kept") {
  const Example example("linear");
  std::vector<std::size_t> made;
  const Planes planes(example.plane.origin, [&](std::size_t repeat) {
    made.push_back(repeat);
    return example.plane.directions;
  });
  const auto first = planes.at(0);
  planes.at(1);
  CHECK(planes.at(0) == first);
  CHECK(made == std::vector<std::size_t>{0, 1});
  planes.at(2);  // in the place of 1
  CHECK(planes.at(0) == first);
  planes.at(1);
  CHECK(made == std::vector<std::size_t>{0, 1, 2, 1});
  const Planes single(example.plane);
  CHECK(
      torch::equal(single.at(0)->directions[1].parameters[0].tensor, example.plane.directions[1].parameters[0].tensor));
  CHECK_THROWS(single.at(1));
}

TEST_CASE("the first repeat of a sweep is the surface of one pair of directions") {
  const Example example("lenet");
  const Planes planes(example.plane.origin, [&](std::size_t repeat) {
    std::vector<Direction> directions;
    for (std::uint32_t k = 0; k < 2; ++k) {
      const auto number = static_cast<std::uint32_t>(2 * repeat) + k;
      directions.push_back(random_direction(example.plane.origin, number, {}));
    }
    return directions;
  });
  const auto measures = loss_and_accuracy(Split::train);
  Surface one({{-1, 1, 3}, {-1, 1, 2}}, measures), three({{-1, 1, 3}, {-1, 1, 2}}, measures, Repeats{3});
  sweep(example.plane, example.engine, one, {});
  SweepOptions options;
  options.threads = 2;
  CHECK(sweep(planes, example.engine, three, options).finished);
  CHECK(same_bits(one.loss(), {three.loss().begin(), three.loss().begin() + 6}));
  CHECK_FALSE(same_bits(one.loss(), {three.loss().begin() + 6, three.loss().begin() + 12}));
}

TEST_CASE("a linear model with squared loss gives an exact paraboloid, x along the first direction") {
  const Example example("linear", LossFunction::mse);
  Surface surface({{-2, 1, 7}, {-1, 1, 5}}, loss_and_accuracy(Split::train));
  CHECK(sweep(example.plane, example.engine, surface, {}).finished);
  const auto z = [&](std::size_t column, std::size_t row) { return surface.loss()[row * 7 + column]; };
  // Third differences vanish along both axes, and the mixed second difference is the same everywhere.
  const double scale = *std::max_element(surface.loss().begin(), surface.loss().end());
  for (std::size_t row = 0; row < 5; ++row) {
    for (std::size_t i = 0; i + 3 < 7; ++i) {
      CHECK(std::abs(z(i + 3, row) - 3 * z(i + 2, row) + 3 * z(i + 1, row) - z(i, row)) < 1e-5 * scale);
    }
  }
  for (std::size_t column = 0; column < 7; ++column) {
    for (std::size_t j = 0; j + 3 < 5; ++j) {
      CHECK(std::abs(z(column, j + 3) - 3 * z(column, j + 2) + 3 * z(column, j + 1) - z(column, j)) < 1e-5 * scale);
    }
  }
  const auto mixed = [&](std::size_t i, std::size_t j) {
    return z(i + 1, j + 1) - z(i + 1, j) - z(i, j + 1) + z(i, j);
  };
  for (std::size_t j = 0; j < 4; ++j) {
    for (std::size_t i = 0; i < 6; ++i) CHECK(std::abs(mixed(i, j) - mixed(0, 0)) < 1e-5 * scale);
  }
  // A transposed grid would fail here: the value at (x, y) is the loss at origin + x d1 + y d2.
  NetworkState point = copy_state(example.plane.origin, torch::kCPU);
  place(example.plane, surface.grid.coordinates_of(1 * 7 + 6), point);
  CHECK(z(6, 1) == example.engine.make_evaluator()->evaluate(point).loss);
}

TEST_CASE("a direction to a second network passes through its loss at 1") {
  Example example("mlp");
  torch::manual_seed(5);
  const NetworkState other = copy_state(state_of(*make_network(spec_of("mlp"))), torch::kCPU);
  for (std::size_t p = 0; p < other.parameters.size(); ++p) {
    example.plane.directions[0].parameters[p].tensor.copy_(other.parameters[p].tensor -
                                                           example.plane.origin.parameters[p].tensor);
  }
  Surface surface({{0, 1, 2}, {0, 0, 1}}, loss_and_accuracy(Split::train));
  sweep(example.plane, example.engine, surface, {});
  const auto evaluator = example.engine.make_evaluator();
  CHECK(surface.loss()[0] == evaluator->evaluate(example.plane.origin).loss);
  CHECK(surface.loss()[1] == Approx(evaluator->evaluate(other).loss).epsilon(1e-6));
}

TEST_CASE("any number of threads gives the same bits") {
  const Example example("lenet");
  std::vector<Surface> surfaces;
  for (const int threads : {1, 2, 3}) {
    surfaces.emplace_back(Grid{Axis{-1, 1, 4}, Axis{-1, 1, 3}}, loss_and_accuracy(Split::train));
    SweepOptions options;
    options.threads = threads;
    sweep(example.plane, example.engine, surfaces.back(), options);
  }
  for (const Surface& surface : surfaces) {
    CHECK(same_bits(surface.loss(), surfaces[0].loss()));
    CHECK(same_bits(surface.loss_errors(), surfaces[0].loss_errors()));
    CHECK(same_bits(surface.accuracy(), surfaces[0].accuracy()));
  }
}

TEST_CASE("a stopped sweep keeps its points, and another fills in the rest alone") {
  const Example example("linear");
  Surface surface({{-1, 1, 5}, {-1, 1, 5}}, loss_and_accuracy(Split::train));
  std::atomic<bool> stop{false};
  SweepOptions options;
  options.stop = &stop;
  options.on_point = [&](const SweepProgress& now) { stop = now.done >= 7; };
  CHECK_FALSE(sweep(example.plane, example.engine, surface, options).finished);
  CHECK(surface.evaluated() == 7);
  const Surface kept = surface;
  std::size_t computed = 0;
  options.stop = nullptr;
  options.on_point = [&](const SweepProgress&) { ++computed; };
  CHECK(sweep(example.plane, example.engine, surface, options).finished);
  CHECK(computed == 18);
  for (std::size_t i = 0; i < 25; ++i) {
    if (kept.state[i] == PointState::evaluated) CHECK(surface.loss()[i] == kept.loss()[i]);
  }
}

TEST_CASE("a sweep of some points evaluates these, in their order, and counts them alone") {
  const Example example("linear");
  Surface all({{-1, 1, 3}, {-1, 1, 3}}, loss_and_accuracy(Split::train)), some = all;
  sweep(example.plane, example.engine, all, {});
  some.set(2, all.at(2));
  std::vector<std::size_t> evaluated;
  SweepProgress last;
  SweepOptions options;
  options.part = {7, 2, 3};
  options.on_evaluated = [&](std::size_t index, const Evaluation&) { evaluated.push_back(index); };
  options.on_point = [&](const SweepProgress& now) { last = now; };
  CHECK(sweep(example.plane, example.engine, some, options).finished);
  CHECK(evaluated == std::vector<std::size_t>{7, 3});
  CHECK(last.done == 3);
  CHECK(last.total == 3);
  CHECK(some.evaluated() == 3);
  CHECK(some.loss()[7] == all.loss()[7]);
}

TEST_CASE("the blocks of shards are of a sweep's own order") {
  const Surface surface({{-1, 1, 19}, {-1, 1, 6}, {0, 1, 3}}, loss_and_accuracy(Split::train), Repeats{2});
  CHECK(order_of_shards(surface) == sweep_order(surface));
}

TEST_CASE("losses that are not finite are kept as they are and told from missing ones") {
  Example example("linear");
  example.plane.directions[0].parameters[0].tensor.fill_(3e38f);
  Surface surface({{0, 1, 2}, {0, 0, 1}}, loss_and_accuracy(Split::train));
  sweep(example.plane, example.engine, surface, {});
  CHECK(surface.evaluated() == 2);
  CHECK(surface.not_finite() == 1);
  CHECK(std::isfinite(surface.loss()[0]));
}

TEST_CASE("an exception on one thread ends the sweep and reaches the caller") {
  Example example("linear");
  example.plane.origin.parameters.pop_back();
  Surface surface({{-1, 1, 2}, {-1, 1, 2}}, loss_and_accuracy(Split::train));
  SweepOptions options;
  options.threads = 2;
  CHECK_THROWS(sweep(example.plane, example.engine, surface, options));
}

TEST_CASE("a second set of images gives the values that it has alone, and changes none of the first") {
  const Example example("lenet");
  const auto test = std::make_shared<const DataSet>(load_data("synthetic:40", Split::test));
  const auto train = std::make_shared<const DataSet>(load_data("synthetic:40", Split::train));
  EngineWords words{spec_of("lenet"), {.batch_size = 16}};
  words.extras.top5 = true;
  words.second = test;
  const Engine both = engine_over(words, train);
  words.second = nullptr;
  const Engine first = engine_over(words, train), second = engine_over(words, test);
  const auto value = [&](const Engine& engine) { return engine.make_evaluator()->evaluate(example.plane.origin); };
  const Evaluation found = value(both), a = value(first), b = value(second);
  CHECK(both.images_per_point() == 50);
  CHECK(found.loss == a.loss);
  CHECK(found.accuracy_se == a.accuracy_se);
  CHECK(found.value("top5") == a.value("top5"));
  REQUIRE(found.second.size() == 1);
  const Evaluation& part = found.second[0];
  CHECK(part.loss == b.loss);
  CHECK(part.loss_se == b.loss_se);
  CHECK(part.accuracy == b.accuracy);
  CHECK(part.accuracy_se == b.accuracy_se);
  CHECK(part.images == 10);
  CHECK(part.value("top5") == b.value("top5"));
  CHECK(
      names_of(measures_of(*both.problem().criterion(), Split::train, Split::test, false, "images")) ==
      std::vector<std::string>{"train_loss", "train_acc", "train_acc_top5", "test_loss", "test_acc", "test_acc_top5"});
}
