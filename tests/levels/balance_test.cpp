#include "levels/balance.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "catch.h"

using namespace lossatlas;

namespace {

constexpr std::size_t kCount = 2000;
const std::vector<std::int64_t> kSizes{64, 128, 256, 512};

/// Images of ten classes whose losses at a place come from a few numbers of each image, and from chance.
struct Images {
  std::vector<std::int64_t> labels;
  std::vector<std::array<double, 4>> own;
  std::mt19937 chance{7};

  Images() {
    std::normal_distribution<double> normal;
    for (std::size_t i = 0; i < kCount; ++i) {
      labels.push_back(static_cast<std::int64_t>(chance() % 10));
      own.push_back({normal(chance), normal(chance), normal(chance), normal(chance)});
    }
  }

  std::vector<double> losses(double x, double y, double noise) {
    std::normal_distribution<double> normal;
    std::vector<double> losses;
    for (std::size_t i = 0; i < kCount; ++i) {
      const auto& [a, b, c, d] = own[i];
      const double told = a + x * b + y * c + x * y * d + (labels[i] == 3 ? 2 : 0);
      losses.push_back(10 + told + noise * normal(chance));
    }
    return losses;
  }
};

double mean(std::span<const double> numbers, const std::vector<std::int64_t>& order, std::size_t count) {
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += numbers[static_cast<std::size_t>(order[i])];
  return sum / static_cast<double>(count);
}

std::vector<double> in_order(const std::vector<double>& numbers, const std::vector<std::int64_t>& order) {
  std::vector<double> ordered;
  for (const std::int64_t i : order) ordered.push_back(numbers[static_cast<std::size_t>(i)]);
  return ordered;
}

Features in_order(const Features& features, const std::vector<std::int64_t>& order) {
  Features ordered;
  for (const auto& feature : features) ordered.push_back(in_order(feature, order));
  return ordered;
}

std::vector<std::int64_t> as_they_are() {
  std::vector<std::int64_t> order(kCount);
  std::iota(order.begin(), order.end(), 0);
  return order;
}

struct Balanced {
  Images images;
  std::vector<std::vector<double>> pilot;
  Features features;
  std::vector<std::int64_t> order;

  explicit Balanced(double noise) {
    for (const double x : {-1.0, 0.0, 1.0}) {
      for (const double y : {-1.0, 0.0, 1.0}) pilot.push_back(images.losses(x, y, noise));
    }
    const std::vector<std::span<const double>> rows(pilot.begin(), pilot.end());
    features = features_of(rows, images.labels);
    order = balanced_order(features, kSizes);
  }
};

}  // namespace

TEST_CASE("features have mean 0; points that tell nothing are left out") {
  const std::vector<double> losses{1, 2, 3, 6}, zeros(4, 0.0), broken{1, std::numeric_limits<double>::infinity(), 1, 1};
  const std::array<std::int64_t, 4> labels{0, 1, 1, 1};
  const Features features = features_of({losses, zeros, broken}, labels);
  REQUIRE(features.size() == 3);  // one point, two classes
  CHECK(features[0][0] == Approx(1.0 / 3 - 1));
  CHECK(features[0][3] == Approx(1));
  for (const auto& feature : features)
    CHECK(std::accumulate(feature.begin(), feature.end(), 0.0) == Approx(0).margin(1e-12));
}

TEST_CASE("each image stands once in a balanced order, and each part of it has the means of all") {
  const Balanced balanced(0.1);
  auto sorted = balanced.order;
  std::sort(sorted.begin(), sorted.end());
  CHECK(sorted == as_they_are());
  for (const std::int64_t size : kSizes) {
    const auto n = static_cast<std::size_t>(size);
    double by_chance = 0, found = 0;
    for (const auto& feature : balanced.features) {
      by_chance += std::pow(mean(feature, as_they_are(), n), 2);
      found += std::pow(mean(feature, balanced.order, n), 2);
    }
    CHECK(std::sqrt(found) < 0.25 * std::sqrt(by_chance));
    const auto threes = std::count_if(balanced.order.begin(), balanced.order.begin() + size, [&](std::int64_t i) {
      return balanced.images.labels[static_cast<std::size_t>(i)] == 3;
    });
    const auto all = std::count(balanced.images.labels.begin(), balanced.images.labels.end(), 3);
    CHECK(std::abs(static_cast<double>(threes) - static_cast<double>(all * size) / kCount) <= 2);
  }
  CHECK(balanced_order(balanced.features, kSizes) == balanced.order);
}

TEST_CASE("a balanced subset takes eight images of each part of the one that holds it, sorted by the first feature") {
  const Balanced balanced(0.3);
  auto pool = as_they_are();
  for (std::size_t k = kSizes.size(); k-- > 0;) {
    const auto n = static_cast<std::size_t>(kSizes[k]), parts = n / 8;
    const auto& first = balanced.features.front();
    std::sort(pool.begin(), pool.end(), [&](std::int64_t a, std::int64_t b) {
      return first[static_cast<std::size_t>(a)] < first[static_cast<std::size_t>(b)];
    });
    std::vector<int> taken(parts, 0);
    for (std::size_t place = 0, part = 0; place < pool.size(); ++place) {
      while (place >= (part + 1) * pool.size() / parts) ++part;
      const auto end = balanced.order.begin() + kSizes[k];
      taken[part] += std::find(balanced.order.begin(), end, pool[place]) != end ? 1 : 0;
    }
    CHECK(taken == std::vector<int>(parts, 8));
    pool.assign(balanced.order.begin(), balanced.order.begin() + kSizes[k]);
  }
}

TEST_CASE("subsets of any size are balanced") {
  constexpr std::int64_t kImages = 45;
  Features features(1);
  for (std::int64_t i = 0; i < kImages; ++i) features[0].push_back(static_cast<double>(i * i % kImages));
  for (std::int64_t size = 1; size < kImages; ++size) {
    auto order = balanced_order(features, std::array{size});
    std::sort(order.begin(), order.end());
    REQUIRE(order.size() == kImages);
    for (std::int64_t i = 0; i < kImages; ++i) CHECK(order[static_cast<std::size_t>(i)] == i);
  }
}

TEST_CASE("elsewhere a balanced subset is far nearer to all images than one by chance, as its error says") {
  Balanced balanced(0.3);
  const BalancedError error(in_order(balanced.features, balanced.order), kSizes);
  for (std::size_t k = 0; k < kSizes.size(); ++k) {
    const auto n = static_cast<std::size_t>(kSizes[k]);
    double by_chance = 0, found = 0, over_error = 0;
    int places = 0;
    for (double x = -0.9; x < 1; x += 0.2) {
      for (double y = -0.9; y < 1; y += 0.2, ++places) {
        const auto losses = balanced.images.losses(x, y, 0.3);
        const double truth = mean(losses, as_they_are(), kCount);
        by_chance += std::pow(mean(losses, as_they_are(), n) - truth, 2);
        const double difference = mean(losses, balanced.order, n) - truth;
        found += difference * difference;
        over_error += std::pow(difference / error.standard_error(k, in_order(losses, balanced.order)), 2);
      }
    }
    CHECK(found < by_chance / 4);
    CHECK(over_error / places > 0.6);
    CHECK(over_error / places < 1.7);
  }
}

TEST_CASE("the error is that of a random subset where features tell nothing") {
  const Features nothing{std::vector<double>(kCount, 0.0)};
  const BalancedError error(nothing, kSizes);
  Images images;
  const auto losses = images.losses(0.3, 0.4, 1);
  const double own = mean(losses, as_they_are(), 128);
  double squares = 0;
  for (std::size_t i = 0; i < 128; ++i) squares += (losses[i] - own) * (losses[i] - own);
  CHECK(error.standard_error(1, losses) == Approx(std::sqrt(squares / 127 / 128 * (1 - 128.0 / kCount))));
}

TEST_CASE("a loss that is not finite has an error that is none") {
  const Balanced balanced(0.3);
  const BalancedError error(balanced.features, kSizes);
  std::vector<double> losses(kCount, 1.0);
  losses[5] = std::numeric_limits<double>::infinity();
  CHECK(std::isnan(error.standard_error(0, losses)));
}
