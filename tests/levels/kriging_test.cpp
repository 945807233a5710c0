#include "levels/kriging.h"

#include <array>
#include <cmath>

#include "catch.h"

using namespace lossatlas;

namespace {

std::vector<Kriging::Place> grid(std::size_t side) {
  std::vector<Kriging::Place> places;
  for (std::size_t row = 0; row < side; ++row) {
    for (std::size_t column = 0; column < side; ++column) {
      const auto at = [&](std::size_t i) { return 2.0 * static_cast<double>(i) / static_cast<double>(side - 1) - 1; };
      places.push_back({at(column), at(row)});
    }
  }
  return places;
}

double wave(const Kriging::Place& place) { return std::sin(2 * place[0]) + place[0] * place[1]; }

}  // namespace

TEST_CASE("kriging of three places is what its equations say") {
  // Solved with NumPy's inverse: Matérn 5/2 and a nugget, with an unknown mean and with a standard prior.
  struct Known {
    Kriging::Prior prior;
    double length, nugget, mean, variance, scale;
  };
  const Known known = GENERATE(Known{Kriging::Prior::none, 0.5, 1e-6, 2.7108494451, 0.6401515, 2.5865484290},
                               Known{Kriging::Prior::none, 0.3, 0.25, 2.4640011454, 1.9820312547, 2.3654741916},
                               Known{Kriging::Prior::standard, 0.3, 1e-6, 1.9755001639, 1.0618860581, 1.7298839355},
                               Known{Kriging::Prior::standard, 0.3, 0.25, 1.5218987621, 1.3588395654, 1.7420433108});
  Kriging kriging({{-1, 0}, {0, 0}, {0.5, 0.5}, {0.25, 0.1}}, known.prior);
  kriging.assume_smoothness(known.length, known.nugget);
  kriging.add(0, 1.0);
  kriging.add(1, 2.0);
  kriging.add(2, 4.0);
  CHECK(kriging.means()[3] == Approx(known.mean).epsilon(1e-6));
  CHECK(kriging.variances()[3] == Approx(known.variance).epsilon(4e-6));
  CHECK(kriging.scale() == Approx(known.scale).epsilon(2e-6));
}

TEST_CASE("places may have any number of coordinates: only distances count") {
  const auto means_of = [](const std::vector<Kriging::Place>& places) {
    Kriging kriging(places);
    kriging.assume_smoothness(0.5, 1e-6);
    kriging.add(0, 1.0);
    kriging.add(1, 2.0);
    kriging.add(2, 4.0);
    return kriging.means();
  };
  const auto flat = means_of({{-1, 0}, {0, 0}, {0.5, 0.5}, {0.25, 0.1}});
  CHECK(means_of({{-1, 0, 0.5}, {0, 0, 0.5}, {0.5, 0.5, 0.5}, {0.25, 0.1, 0.5}}) == flat);
  const auto turned = means_of({{0, -1, 0, 0}, {0, 0, 0, 0}, {0, 0.5, 0, 0.5}, {0, 0.25, 0, 0.1}});
  for (std::size_t p = 0; p < flat.size(); ++p) CHECK(turned[p] == Approx(flat[p]));
}

TEST_CASE("what no neighbour tells is told from what they do") {
  const auto places = grid(21);
  for (const double share : {0.0, 0.6}) {
    Kriging kriging(places);
    std::uint32_t state = 1;
    for (std::size_t p = 0; p < places.size(); p += 2) {
      state = state * 1664525u + 1013904223u;
      const double chance = static_cast<double>(state) / 4294967296.0 - 0.5;
      kriging.add(p, wave(places[p]) + share * chance);
    }
    kriging.fit();
    if (share == 0) CHECK(kriging.nugget() == 1e-6);
    if (share > 0) CHECK(kriging.nugget() >= 0.01);
    // Within its error where nothing is known.
    std::size_t within = 0, others = 0;
    const auto means = kriging.means(), variances = kriging.variances();
    for (std::size_t p = 1; p < places.size(); p += 2, ++others) {
      within += std::abs(means[p] - wave(places[p])) <= 2 * std::sqrt(variances[p]) + 1e-4 ? 1 : 0;
    }
    CHECK(within > others * 9 / 10);
  }
}

TEST_CASE("kriging passes through its values, and between them a smooth function is met within its error") {
  const auto places = grid(21);
  Kriging kriging(places);
  for (std::size_t p = 0; p < places.size(); ++p) {
    if (p % 21 % 4 == 0 && p / 21 % 4 == 0) kriging.add(p, wave(places[p]));
  }
  kriging.fit();
  const auto means = kriging.means(), variances = kriging.variances();
  for (std::size_t p = 0; p < places.size(); ++p) {
    const double error = std::abs(means[p] - wave(places[p]));
    CHECK(error < (kriging.knows(p) ? 5e-4 : 4 * std::sqrt(variances[p]) + 1e-4));
    CHECK(error < 0.02);
  }
}

TEST_CASE("an imagined place lowers the variance as a known one does, until it is forgotten") {
  const auto places = grid(11);
  Kriging kriging(places);
  for (const std::size_t p : {0u, 10u, 60u, 110u, 120u}) kriging.add(p, wave(places[p]));
  const auto before = kriging.variances();
  kriging.imagine(30);
  kriging.imagine(90);
  const auto imagined = kriging.variances();
  const double scale_before = kriging.scale();
  CHECK(imagined[30] < 1e-4 * before[30]);
  CHECK(imagined[31] < before[31]);
  kriging.forget();
  CHECK(kriging.variances() == before);
  // The same relative to s², which the values themselves change.
  kriging.add(30, wave(places[30]));
  kriging.add(90, wave(places[90]));
  CHECK(kriging.variances()[31] / kriging.scale() == Approx(imagined[31] / scale_before));
}

TEST_CASE("variances are larger where values are badly foretold") {
  const auto places = grid(21);
  Kriging kriging(places);
  for (std::size_t p = 0; p < places.size(); p += 2) {
    const bool rough = places[p][0] > 0.3 && places[p][1] > 0.3;
    kriging.add(p, wave(places[p]) + (rough ? (p % 4 == 0 ? 0.3 : -0.3) : 0.0));
  }
  kriging.fit();
  const auto before = kriging.variances();
  kriging.localize();
  const auto after = kriging.variances();
  CHECK(after[20 * 21 + 19] > 1.4 * before[20 * 21 + 19]);
  CHECK(after[1] < before[1]);
}

TEST_CASE("several that are equally smooth share a length: few values of one lean on many of another") {
  const auto places = grid(41);
  const auto rough = [](const Kriging::Place& place) { return std::sin(7 * place[0]) * std::cos(6 * place[1]); };
  Kriging many(places), few(places), alone(places);
  for (std::size_t p = 0; p < places.size(); ++p) {
    const std::size_t column = p % 41, row = p / 41;
    const double value = rough(places[p]), small = 0.1 * value;
    if (column % 2 == 0 && row % 2 == 0) many.add(p, value);
    if (column % 10 != 0 || row % 10 != 0) continue;
    few.add(p, small);
    alone.add(p, small);
  }
  alone.fit();
  Kriging::fit(std::array{&many, &few});
  CHECK(many.length() == few.length());
  many.fit();
  CHECK(std::abs(std::log(few.length() / many.length())) < 0.3);
  CHECK(std::abs(std::log(alone.length() / many.length())) > 0.3);
  CHECK(few.scale() < 0.1 * many.scale());  // each keeps its own
}
