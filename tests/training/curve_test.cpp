#include "training/curve.h"

#include <torch/utils.h>

#include <cmath>
#include <numeric>

#include "base/error.h"
#include "catch.h"
#include "checkpoint/checkpoint.h"
#include "models/network.h"
#include "models/registry.h"
#include "temporary_folder.h"

using namespace lossatlas;

namespace {

/// A curve through points of the plane.
Curve plane_curve(CurveShape shape, const std::vector<std::array<float, 2>>& points) {
  Curve curve{shape, {}};
  for (const auto& point : points) curve.points.push_back({{"w", torch::tensor({point[0], point[1]})}});
  return curve;
}

NetworkSpec small_network() {
  NetworkSpec network;
  network.architecture = "resnet20";
  network.width = 4;
  return network;
}

CurveOptions small_options() { return {.epochs = 2, .seed = 5, .learning_rate = 0.05}; }

std::vector<NamedTensor> fresh_parameters(std::uint64_t seed) {
  torch::manual_seed(seed);
  return copy_state(state_of(*make_network(small_network())), torch::kCPU).parameters;
}

CurveRun make_run(const CurveOptions& options, const Curve& start, const std::filesystem::path& state) {
  const auto train = std::make_shared<const DataSet>(load_data("synthetic:64", Split::train));
  const auto trainee = [&] {
    return make_trainee(make_network(small_network()), train, {.batch_size = 16, .seed = 5, .augment = true},
                        torch::kCPU);
  };
  return CurveRun(options, start, trainee, state, {{"lr", options.learning_rate}});
}

bool same_points(const std::vector<NamedTensor>& a, const std::vector<NamedTensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const NamedTensor& left, const NamedTensor& right) {
    return left.name == right.name && torch::equal(left.tensor, right.tensor);
  });
}

}  // namespace

TEST_CASE("coefficients of a Bezier curve are Bernstein's polynomials") {
  for (const double t : {0.0, 0.2, 0.5, 0.9, 1.0}) {
    const double s = 1 - t;
    const auto two = coefficients(CurveShape::bezier, 3, t), three = coefficients(CurveShape::bezier, 4, t);
    const std::array expected_two{s * s, 2 * t * s, t * t};
    const std::array expected_three{s * s * s, 3 * t * s * s, 3 * t * t * s, t * t * t};
    for (std::size_t k = 0; k < 3; ++k) CHECK(two[k] == Approx(expected_two[k]).margin(1e-15));
    for (std::size_t k = 0; k < 4; ++k) CHECK(three[k] == Approx(expected_three[k]).margin(1e-15));
  }
}

TEST_CASE("a polygon passes through its points, straight from one to the next") {
  CHECK(coefficients(CurveShape::polygon, 3, 0.0) == std::vector<double>{1, 0, 0});
  CHECK(coefficients(CurveShape::polygon, 3, 0.5) == std::vector<double>{0, 1, 0});
  CHECK(coefficients(CurveShape::polygon, 3, 0.25) == std::vector<double>{0.5, 0.5, 0});
  CHECK(coefficients(CurveShape::polygon, 5, 0.9) ==
        std::vector<double>{0, 0, 0, 1 - std::abs(4 * 0.9 - 3), 1 - std::abs(4 * 0.9 - 4)});
}

TEST_CASE("coefficients begin at the first point, end at the last, and add up to 1") {
  for (const auto shape : {CurveShape::bezier, CurveShape::polygon}) {
    for (const std::size_t points : {2, 3, 6, 12}) {
      const auto first = coefficients(shape, points, 0), last = coefficients(shape, points, 1);
      CHECK(first.front() == 1);
      CHECK(last.back() == 1);
      CHECK(std::accumulate(first.begin(), first.end(), 0.0) == 1);
      CHECK(std::accumulate(last.begin(), last.end(), 0.0) == 1);
      for (const double t : {0.1, 1.0 / 3, 0.77}) {
        const auto c = coefficients(shape, points, t);
        CHECK(std::accumulate(c.begin(), c.end(), 0.0) == Approx(1).epsilon(1e-14));
      }
    }
  }
}

TEST_CASE("lengths of curves that are known") {
  CHECK(length(plane_curve(CurveShape::polygon, {{0, 0}, {3, 0}, {3, 4}})) == Approx(7).epsilon(1e-12));
  CHECK(length(plane_curve(CurveShape::bezier, {{0, 0}, {3, 4}})) == Approx(5).epsilon(1e-12));
  // (t, t²): the parabola from 0 to 1.
  const double parabola = std::sqrt(5.0) / 2 + std::asinh(2.0) / 4;
  CHECK(length(plane_curve(CurveShape::bezier, {{0, 0}, {0.5, 0}, {1, 1}})) == Approx(parabola).epsilon(1e-6));
}

TEST_CASE("bends begin evenly on the straight line, whose length the curve then has") {
  const auto a = fresh_parameters(1), b = fresh_parameters(2);
  for (const auto shape : {CurveShape::bezier, CurveShape::polygon}) {
    const Curve curve = straight_curve(shape, a, b, 3);
    REQUIRE(curve.bends() == 3);
    CHECK(same_points(curve.points.front(), a));
    CHECK(same_points(curve.points.back(), b));
    for (std::size_t p = 0; p < a.size(); ++p) {
      const auto expected = 0.25 * a[p].tensor + 0.75 * b[p].tensor;
      CHECK(torch::allclose(curve.points[3][p].tensor, expected, 1e-6, 1e-7));
    }
    CHECK(length(curve) == Approx(length({shape, {a, b}})).epsilon(1e-6));
  }
}

TEST_CASE("the learning rate stays over the first half and falls to a hundredth at nine tenths") {
  for (const double done : {0.0, 0.3, 0.5}) CHECK(curve_learning_rate(0.2, done) == Approx(0.2));
  CHECK(curve_learning_rate(0.2, 0.7) == Approx(0.2 * (1 + 0.01) / 2));
  for (const double done : {0.9, 0.95, 1.0}) CHECK(curve_learning_rate(0.2, done) == Approx(0.002));
}

TEST_CASE("training moves every bend, never the ends") {
  const TemporaryFolder folder;
  for (const auto shape : {CurveShape::bezier, CurveShape::polygon}) {
    const Curve start = straight_curve(shape, fresh_parameters(1), fresh_parameters(2), 2);
    auto run = make_run(small_options(), start, folder / "state.pt");
    CHECK(run.run({}));
    const Curve end = run.curve();
    CHECK(same_points(end.points[0], start.points[0]));
    CHECK(same_points(end.points[3], start.points[3]));
    for (const std::size_t bend : {1, 2}) CHECK_FALSE(same_points(end.points[bend], start.points[bend]));
    REQUIRE(run.history().size() == 2);
    CHECK(run.history()[1].train_loss < run.history()[0].train_loss);
    CHECK(run.history()[0].learning_rate == Approx(0.05));
    CHECK(run.history()[1].learning_rate == Approx(0.0005));
  }
}

TEST_CASE("a curve whose training was stopped goes on to the same bits") {
  const TemporaryFolder folder;
  const auto options = small_options();
  const Curve start = straight_curve(CurveShape::bezier, fresh_parameters(1), fresh_parameters(2), 1);
  auto whole = make_run(options, start, folder / "whole.pt");
  CHECK(whole.run({}));
  std::atomic<bool> stop{false};
  int steps = 0, stop_after = 1;
  TrainingHooks hooks;
  hooks.stop = &stop;
  hooks.on_step = [&](const TrainingProgress&) { stop = ++steps == stop_after; };
  CHECK_FALSE(make_run(options, start, folder / "parts.pt").run(hooks));
  for (const int next_stop : {4, 6, 1000}) {
    stop = false;
    stop_after = next_stop;
    auto part = make_run(options, start, folder / "parts.pt");
    part.resume();
    CHECK(part.run(hooks) == (next_stop == 1000));
    if (next_stop < 1000) continue;
    CHECK(same_points(part.curve().points[1], whole.curve().points[1]));
    REQUIRE(part.history().size() == 2);
    for (std::size_t e = 0; e < 2; ++e) CHECK(part.history()[e].train_loss == whole.history()[e].train_loss);
  }
  CHECK(steps == 8);
}

TEST_CASE("a curve of other settings is not resumed, nor a file that holds no curve") {
  const TemporaryFolder folder;
  auto options = small_options();
  options.epochs = 1;
  const Curve start = straight_curve(CurveShape::bezier, fresh_parameters(1), fresh_parameters(2), 1);
  make_run(options, start, folder / "state.pt").run({});
  options.learning_rate = 0.01;
  CHECK_THROWS_WITH(make_run(options, start, folder / "state.pt").resume(), ContainsSubstring("lr was 0.05, now 0.01"));
  write_checkpoint(folder / "other.pt", start.points[0], {});
  CHECK_THROWS_WITH(make_run(options, start, folder / "other.pt").resume(), ContainsSubstring("not the state"));
}

TEST_CASE("names of curves") {
  for (const auto shape : {CurveShape::bezier, CurveShape::polygon}) {
    CHECK(curve_shape_of(std::string(name_of(shape))) == shape);
  }
  CHECK_THROWS_AS(curve_shape_of("spline"), UsageError);
}
