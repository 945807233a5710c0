#include "levels/levels.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>

#include "catch.h"

using namespace lossatlas;

namespace {

constexpr std::size_t kSide = 31;
constexpr std::int64_t kImages = 2000;

/// A surface whose every image has a bowl of its own: its loss is known at any point, for any number of images.
class Model {
 public:
  explicit Model(double roughness = 0) : roughness_(roughness) {
    for (std::int64_t i = 0; i < kImages; ++i) {
      const auto n = static_cast<double>(i);
      images_.push_back(
          {std::fmod(n * 0.61803398875, 1.0), std::fmod(n * 0.75487766625, 1.0), std::fmod(n * 0.56984029099, 1.0)});
    }
  }

  static Grid grid() { return {{-1, 1, kSide}, {-1, 1, kSide}}; }

  double loss(std::size_t point, std::int64_t image) const {
    const auto at = grid_.coordinates_of(point);
    const double x = at[0], y = at[1];
    const auto& [a, b, c] = images_[static_cast<std::size_t>(image)];
    const double bowl = std::pow(x - 0.6 * (a - 0.5), 2) + 2 * std::pow(y - 0.6 * (b - 0.5), 2);
    return (0.2 + 2 * c * c) * (0.3 + 3 * bowl) * (1 + roughness_ * std::sin(40 * x + 6 * a) * std::sin(40 * y));
  }

  std::vector<Evaluation> evaluate(const LevelRequest& request) const {
    std::vector<Evaluation> values;
    double sum = 0, squares = 0;
    std::int64_t image = 0;
    const auto ladder = ladder_of(kImages);
    for (std::size_t rung = 0; rung <= request.rung; ++rung) {
      for (; image < ladder[rung]; ++image) {
        const double own = loss(request.point, image);
        sum += own;
        squares += own * own;
      }
      const auto n = static_cast<double>(image);
      const double mean = sum / n, variance = (squares - n * mean * mean) / (n - 1);
      const double error = std::sqrt(std::max(0.0, variance) / n * (1 - n / static_cast<double>(kImages)));
      values.push_back({mean, error, 100 / (1 + mean), 0, image});
    }
    return values;
  }

  double truth(std::size_t point) const { return evaluate({point, ladder_of(kImages).size() - 1}).back().loss; }

 private:
  Grid grid_ = grid();
  double roughness_;
  std::vector<std::array<double, 3>> images_;
};

struct Outcome {
  Surface surface{{{-1, 1, 1}, {-1, 1, 1}}, loss_and_accuracy(Split::train)};
  std::int64_t cost = 0, forecast = 0;
  std::vector<std::pair<std::size_t, std::size_t>> asked;
  std::vector<std::int64_t> sizes;
  double error = 0;
};

template <class Evaluate>
Outcome run(const Model& model, LevelGoal goal, const Evaluate& evaluate) {
  LevelPlan plan(model.grid(), loss_and_accuracy(Split::train), ladder_of(kImages), goal);
  Outcome outcome;
  for (auto requests = plan.next(); !requests.empty(); requests = plan.next()) {
    std::set<std::size_t> batch;
    for (const auto& request : requests) {
      CHECK(batch.insert(request.point).second);
      outcome.asked.emplace_back(request.point, request.rung);
      plan.add(request, evaluate(request));
    }
  }
  outcome.surface = plan.reconstruct();
  outcome.cost = plan.cost();
  outcome.forecast = plan.forecast() ? plan.forecast()->cost : 0;
  outcome.sizes = plan.sizes();
  outcome.error = plan.error().value_or(-1);
  return outcome;
}

Outcome run(const Model& model, LevelGoal goal) {
  return run(model, goal, [&](const LevelRequest& request) { return model.evaluate(request); });
}

}  // namespace

TEST_CASE("the ladder doubles up to half of all images") {
  CHECK(ladder_of(5000) == std::vector<std::int64_t>{64, 128, 256, 512, 1024, 2048, 5000});
  CHECK(ladder_of(128) == std::vector<std::int64_t>{64, 128});
  CHECK(ladder_of(50) == std::vector<std::int64_t>{50});
}

TEST_CASE("a surface in levels keeps its tolerance at a fraction of the price, and states its error") {
  const Model model;
  const Outcome outcome = run(model, {0.01, 0});
  CHECK(outcome.cost < static_cast<std::int64_t>(kSide * kSide) * kImages / 10);
  CHECK(outcome.error <= 0.01);
  CHECK(static_cast<double>(outcome.forecast) > 0.7 * static_cast<double>(outcome.cost));
  CHECK(static_cast<double>(outcome.forecast) < 1.4 * static_cast<double>(outcome.cost));
  CHECK(outcome.sizes.back() == kImages);
  double low = 1e9, high = -1e9, worst = 0;
  std::size_t covered = 0;
  for (std::size_t p = 0; p < outcome.surface.size(); ++p) {
    const double truth = model.truth(p), error = std::abs(outcome.surface.loss()[p] - truth);
    low = std::min(low, std::log(truth));
    high = std::max(high, std::log(truth));
    worst = std::max(worst, std::abs(std::log(outcome.surface.loss()[p] / truth)));
    covered += error <= outcome.surface.values_of("train_loss_error")[p] + 1e-12 ? 1 : 0;
    const bool on_all = outcome.surface.samples[0].counts[p] == kImages;
    CHECK((outcome.surface.state[p] == PointState::evaluated) == on_all);
    if (on_all) CHECK((error == 0 && outcome.surface.values_of("train_loss_error")[p] == 0));
  }
  CHECK(worst < 0.012 * (high - low));
  CHECK(static_cast<double>(covered) > 0.9 * static_cast<double>(outcome.surface.size()));
}

TEST_CASE("the same values give the same requests, no point is asked for twice on as many images") {
  const Model model;
  const Outcome a = run(model, {0.02, 0}), b = run(model, {0.02, 0});
  CHECK(a.asked == b.asked);
  CHECK(a.surface.loss() == b.surface.loss());
  std::vector<std::size_t> highest(kSide * kSide, 0);
  for (const auto& [point, rung] : a.asked) {
    CHECK(rung + 1 > highest[point]);
    highest[point] = rung + 1;
  }
}

TEST_CASE("a budget is not passed, and what it buys is finished") {
  const Model model;
  for (const std::int64_t budget : {52'000, 60'000, 90'000}) {
    const Outcome outcome = run(model, {0, budget});
    CHECK(outcome.cost <= budget);
    CHECK(outcome.cost > budget - 2 * kImages);
    for (const PointState state : outcome.surface.state) CHECK(state != PointState::missing);
  }
  CHECK(run(model, {0, 90'000}).error < run(model, {0, 60'000}).error);
}

TEST_CASE("a surface too rough to be interpolated is evaluated at every point, on few images") {
  const Model model(0.5);
  const Outcome outcome = run(model, {0.01, 0});
  for (std::size_t p = 0; p < outcome.surface.size(); ++p) {
    CHECK(outcome.surface.samples[0].counts[p] >= 64);
    CHECK(std::abs(std::log(outcome.surface.loss()[p] / model.truth(p))) < 0.2);
  }
}

TEST_CASE("losses that are not finite stay what they are, and the rest is reconstructed") {
  const Model model;
  const double infinity = std::numeric_limits<double>::infinity();
  const auto is_broken = [](std::size_t point) { return point % kSide > 26; };
  const Outcome outcome = run(model, {0.02, 0}, [&](const LevelRequest& request) {
    auto values = model.evaluate(request);
    if (is_broken(request.point))
      std::for_each(values.begin(), values.end(), [&](auto& value) { value.loss = infinity; });
    return values;
  });
  for (std::size_t p = 0; p < outcome.surface.size(); ++p) {
    CHECK((outcome.surface.loss()[p] == infinity) == is_broken(p));
    CHECK(outcome.surface.state[p] != PointState::missing);
  }
}
