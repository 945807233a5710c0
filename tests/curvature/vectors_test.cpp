#include "curvature/vectors.h"

#include <cmath>

#include "catch.h"
#include "curvature/symmetric_eigen.h"

using namespace lossatlas;

TEST_CASE("products of float32 vectors are summed in float64") {
  // 1 + 2^-24 is no float32 number: a sum in float32 would stay at 2^24.
  const std::size_t n = 20000;
  Vector a(n, 1.0f), b(n, 1.0f);
  a[0] = 16777216.0f;
  CHECK(dot(a, b) == 16777216.0 + 19999.0);
  CHECK(norm(b) == std::sqrt(20000.0));
}

TEST_CASE("what lies along a basis is taken out") {
  std::vector<Vector> basis{{1, 0, 0, 0}, {0, 0.6f, 0.8f, 0}};
  Vector w{2, 3, 4, 5};
  const auto taken = orthogonalize(w, basis);
  CHECK(taken[0] == Approx(2));
  CHECK(taken[1] == Approx(5));
  for (const std::size_t i : {0, 1, 2}) CHECK(std::abs(w[i]) < 1e-6);
  CHECK(w[3] == 5);
  combine(basis, {{0, 1}, {2, 10}});
  CHECK(basis[0] == Vector{0, 0.6f, 0.8f, 0});
  CHECK(basis[1] == Vector{2, 6, 8, 0});
}

TEST_CASE("probes are signs that depend on seed and number alone") {
  const Vector signs = rademacher(4000, 7, 3);
  CHECK(signs == rademacher(4000, 7, 3));
  CHECK(signs != rademacher(4000, 7, 4));
  CHECK(signs != rademacher(4000, 8, 3));
  double sum = 0;
  for (const float sign : signs) {
    CHECK(std::abs(sign) == 1);
    sum += sign;
  }
  CHECK(std::abs(sum) < 4 * std::sqrt(4000.0));
}

TEST_CASE("eigenvalues of small matrices") {
  // [[2, 1], [1, 2]]: 1 with (1, -1)/√2 and 3 with (1, 1)/√2.
  const auto two = eigen_of({2, 1, 1, 2}, 2);
  CHECK(two.values[0] == Approx(1));
  CHECK(two.values[1] == Approx(3));
  CHECK(two.vectors[1][0] * two.vectors[1][1] == Approx(0.5));
  CHECK(two.vectors[0][0] * two.vectors[0][1] == Approx(-0.5));
  // The path's Laplacian: 2 - 2 cos(π k / (n + 1)), k = 1, …, n.
  const std::size_t n = 50;
  std::vector<double> path(n * n);
  for (std::size_t i = 0; i < n; ++i) {
    path[i * n + i] = 2;
    if (i + 1 < n) path[i * n + i + 1] = path[(i + 1) * n + i] = -1;
  }
  const auto found = eigen_of(path, n);
  for (std::size_t k = 0; k < n; ++k) {
    const double wanted = 2 - 2 * std::cos(std::acos(-1.0) * static_cast<double>(k + 1) / static_cast<double>(n + 1));
    CHECK(std::abs(found.values[k] - wanted) < 1e-13);
  }
  CHECK(eigen_of({}, 0).values.empty());
  CHECK(eigen_of({0, 0, 0, 0}, 2).values == std::vector<double>{0, 0});
}
