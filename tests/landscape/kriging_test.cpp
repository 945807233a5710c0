#include "landscape/kriging.h"

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
  // Solved by hand in NumPy: Matérn 5/2 with ℓ = 0.5, nugget 1e-6 (of a new value too), ordinary kriging.
  Kriging kriging({{-1, 0}, {0, 0}, {0.5, 0.5}, {0.25, 0.1}}, 1);
  kriging.add(0, std::array{1.0});
  kriging.add(1, std::array{2.0});
  kriging.add(2, std::array{4.0});
  CHECK(kriging.means()[3] == Approx(2.7108494451).epsilon(1e-6));
  CHECK(kriging.variances()[3] == Approx(0.6401489087 + 1e-6 * 2.5865484290).epsilon(1e-6));
  CHECK(kriging.scale() == Approx(2.5865484290).epsilon(1e-6));
}

TEST_CASE("kriging passes through its values, and between them a smooth function is met within its error") {
  const auto places = grid(21);
  Kriging kriging(places, 2);
  for (std::size_t p = 0; p < places.size(); ++p) {
    if (p % 21 % 4 == 0 && p / 21 % 4 == 0) kriging.add(p, std::array{wave(places[p]), 3.0});
  }
  kriging.fit();
  const auto means = kriging.means(), variances = kriging.variances(), threes = kriging.means(1);
  for (std::size_t p = 0; p < places.size(); ++p) {
    const double error = std::abs(means[p] - wave(places[p]));
    CHECK(error < (kriging.knows(p) ? 5e-4 : 4 * std::sqrt(variances[p]) + 1e-4));
    CHECK(error < 0.02);
    CHECK(threes[p] == Approx(3));
  }
}

TEST_CASE("an imagined place lowers the variance as a known one does, until it is forgotten") {
  const auto places = grid(11);
  Kriging kriging(places, 1);
  for (const std::size_t p : {0u, 10u, 60u, 110u, 120u}) kriging.add(p, std::array{wave(places[p])});
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
  kriging.add(30, std::array{wave(places[30])});
  kriging.add(90, std::array{wave(places[90])});
  CHECK(kriging.variances()[31] / kriging.scale() == Approx(imagined[31] / scale_before));
}

TEST_CASE("variances are larger where values are badly foretold") {
  const auto places = grid(21);
  Kriging kriging(places, 1);
  for (std::size_t p = 0; p < places.size(); p += 2) {
    const bool rough = places[p][0] > 0.3 && places[p][1] > 0.3;
    kriging.add(p, std::array{wave(places[p]) + (rough ? (p % 4 == 0 ? 0.3 : -0.3) : 0.0)});
  }
  kriging.fit();
  const auto before = kriging.variances();
  kriging.localize();
  const auto after = kriging.variances();
  CHECK(after[20 * 21 + 19] > 2 * before[20 * 21 + 19]);
  CHECK(after[1] < before[1]);
}

TEST_CASE("several that are equally smooth share a length: few values of one lean on many of another") {
  const auto places = grid(41);
  const auto rough = [](const Kriging::Place& place) { return std::sin(19 * place[0]) * std::cos(17 * place[1]); };
  Kriging many(places, 1), few(places, 1), alone(places, 1);
  for (std::size_t p = 0; p < places.size(); ++p) {
    const std::size_t column = p % 41, row = p / 41;
    const std::array value{rough(places[p])}, small{0.1 * value[0]};
    if (column % 2 == 0 && row % 2 == 0) many.add(p, value);
    if (column % 10 != 0 || row % 10 != 0) continue;
    few.add(p, small);
    alone.add(p, small);
  }
  alone.fit();
  Kriging::fit(std::array{&many, &few});
  CHECK(many.length() == few.length());
  CHECK(few.length() < 0.8 * alone.length());
  CHECK(few.scale() < 0.1 * many.scale());  // each keeps its own
}
