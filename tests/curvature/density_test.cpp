#include "curvature/density.h"

#include <cmath>

#include "catch.h"
#include "curvature/matrices.h"

using namespace lossatlas;

TEST_CASE("quadrature is exact for moments to twice the steps") {
  Matrix matrix{outliers_and_bulk(120)};
  Density density{6, {}, {}};
  add_probes(matrix.as_operator(), 1, 3, density);
  REQUIRE(density.probes() == 1);
  // vᵀA^k v / vᵀv by products with the probe itself.
  Vector probe = gaussian(120, 3, std::uint64_t{1} << 32);
  scale(probe, 1 / norm(probe));
  std::vector<Vector> power{probe}, next{Vector(120)};
  for (int k = 0; k <= 11; ++k) {
    double quadrature = 0;
    for (std::size_t i = 0; i < 6; ++i) quadrature += density.weights[i] * std::pow(density.nodes[i], k);
    CHECK(quadrature == Approx(dot(probe, power[0])).epsilon(1e-4).margin(1e-5));
    matrix.as_operator().apply(power, next);
    power.swap(next);
  }
}

TEST_CASE("eigenvalues beyond a threshold are counted within the error") {
  Matrix matrix{outliers_and_bulk(120)};
  Density density{20, {}, {}};
  for (int block = 0; block < 15; ++block) add_probes(matrix.as_operator(), 4, 9, density);
  REQUIRE(density.probes() == 60);
  const Estimate above = count_above(density, 120, 5), below = count_below(density, 120, -5);
  CHECK(std::abs(above.value - 5) < 4 * above.standard_error);
  CHECK(std::abs(below.value - 1) < 4 * below.standard_error);
  CHECK(above.standard_error < 0.5);
  CHECK(count_above(density, 120, -1000).value == Approx(120).epsilon(1e-5));
  // Probes are the same, however many are made together.
  Density one_by_one{20, {}, {}};
  for (int k = 0; k < 4; ++k) add_probes(matrix.as_operator(), 1, 9, one_by_one);
  for (std::size_t i = 0; i < one_by_one.nodes.size(); ++i) CHECK(one_by_one.nodes[i] == density.nodes[i]);
}

TEST_CASE("a matrix with few eigenvalues needs few steps, and every eigenvalue is a node") {
  Matrix matrix{{7, 7, 7, -1, -1, 2}};
  Density density{20, {}, {}};
  add_probes(matrix.as_operator(), 2, 1, density);
  CHECK(matrix.products <= 12);
  for (std::size_t probe = 0; probe < 2; ++probe) {
    double weight = 0;
    for (std::size_t i = 20 * probe; i < 20 * (probe + 1); ++i) {
      weight += density.weights[i];
      if (density.weights[i] < 1e-6) continue;
      const double node = density.nodes[i];
      CHECK(std::min({std::abs(node - 7), std::abs(node + 1), std::abs(node - 2)}) < 1e-4);
    }
    CHECK(weight == Approx(1));
  }
}
