#include "curvature/lanczos.h"

#include <algorithm>
#include <cmath>

#include "catch.h"
#include "curvature/matrices.h"

using namespace lossatlas;

TEST_CASE("the ends of a spectrum of outliers and a bulk take few products") {
  Matrix matrix{outliers_and_bulk(1000)};
  const auto found = lanczos(matrix.as_operator(), {.largest = 5, .smallest = 1});
  REQUIRE(found.has_converged);
  CHECK(found.products <= 20);
  CHECK(found.products == matrix.products);
  const std::vector<double> wanted{391, 325, 257, 185, 66, -10};
  REQUIRE(found.pairs.size() == wanted.size());
  for (std::size_t k = 0; k < wanted.size(); ++k) {
    CHECK(std::abs(found.pairs.values[k] - wanted[k]) < 1e-4 * std::abs(wanted[k]));
    // The vector is a column of the matrix of sines.
    const std::size_t column = k < 5 ? k : 999;
    double along = 0;
    for (std::size_t i = 0; i < 1000; ++i)
      along += matrix.q(i, column) * static_cast<double>(found.pairs.vectors[k][i]);
    CHECK(std::abs(std::abs(along) - 1) < 1e-3);
  }
}

TEST_CASE("thick restarts find eigenvalues of a spectrum without gaps") {
  // 0, 1, …, 299: forty vectors are far too few for Lanczos' algorithm without restart.
  std::vector<double> values(300);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i);
  Matrix matrix{values};
  const LanczosOptions options{.largest = 4, .smallest = 3, .tolerance = 1e-4};
  REQUIRE(basis_of(options, 300) == 40);
  const auto found = lanczos(matrix.as_operator(), options);
  REQUIRE(found.has_converged);
  CHECK(found.products > 40);
  CHECK(found.products < 300);
  const std::vector<double> wanted{299, 298, 297, 296, 2, 1, 0};
  for (std::size_t k = 0; k < wanted.size(); ++k) {
    CHECK(std::abs(found.pairs.values[k] - wanted[k]) < 1e-3);
    CHECK(found.pairs.residuals[k] < 1e-4 * 300);
    for (std::size_t l = 0; l < k; ++l) CHECK(std::abs(dot(found.pairs.vectors[k], found.pairs.vectors[l])) < 1e-5);
  }
}

TEST_CASE("of a small matrix every eigenvalue is found, copies included") {
  Matrix matrix{{3, 3, 3, 1, 0, 0, -2}};
  const auto found = lanczos(matrix.as_operator(), {.largest = 7, .smallest = 0});
  const std::vector<double> wanted{3, 3, 3, 1, 0, 0, -2};
  REQUIRE(found.has_converged);
  REQUIRE(found.pairs.size() == 7);
  for (std::size_t k = 0; k < 7; ++k) CHECK(std::abs(found.pairs.values[k] - wanted[k]) < 3e-6);
  const auto more = lanczos(matrix.as_operator(), {.largest = 5, .smallest = 5});
  REQUIRE(more.pairs.size() == 7);
  CHECK(std::abs(more.pairs.values.back() + 2) < 3e-6);
}

TEST_CASE("copies of a leading eigenvalue are found where the first vector leads to one of them") {
  std::vector<double> values(300, 1.0);
  values[10] = values[20] = 5;
  Matrix matrix{values};
  const auto found = lanczos(matrix.as_operator(), {.largest = 2, .smallest = 1});
  CHECK(std::abs(found.pairs.values[0] - 5) < 1e-4);
  CHECK(std::abs(found.pairs.values[2] - 1) < 1e-4);
}

TEST_CASE("a matrix of zeros and a multiple of the identity end soon") {
  Matrix zeros{std::vector<double>(1000, 0.0)};
  const auto none = lanczos(zeros.as_operator(), {.largest = 2, .smallest = 1});
  CHECK(none.has_converged);
  CHECK(none.products < 20);
  CHECK(none.pairs.values == std::vector<double>{0, 0, 0});
  Matrix twos{std::vector<double>(1000, 2.0)};
  const auto same = lanczos(twos.as_operator(), {.largest = 2, .smallest = 1});
  CHECK(same.products < 60);
  for (const double value : same.pairs.values) CHECK(value == Approx(2));
}

TEST_CASE("a limit of products ends the search, and says so") {
  std::vector<double> values(300);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i);
  Matrix matrix{values};
  std::size_t heard = 0;
  const auto found = lanczos(matrix.as_operator(), {.largest = 4, .smallest = 3, .most_products = 12},
                             [&](const LanczosProgress& now) { heard = now.products; });
  CHECK_FALSE(found.has_converged);
  CHECK(found.products == 12);
  CHECK(heard == 12);
}

TEST_CASE("pairs are measured by one more product each") {
  Matrix matrix{{4, 1, -1}};
  const auto column = [&](std::size_t k) {
    Vector vector(3);
    for (std::size_t i = 0; i < 3; ++i) vector[i] = static_cast<float>(matrix.q(i, k));
    return vector;
  };
  Vector mixed = column(0);
  for (std::size_t i = 0; i < 3; ++i) mixed[i] = 0.8f * column(0)[i] + 0.6f * column(2)[i];
  Eigenpairs pairs{{0, 0}, {0, 0}, {column(1), mixed}};
  const auto images = measure(matrix.as_operator(), pairs);
  CHECK(pairs.values[0] == Approx(1));
  CHECK(pairs.residuals[0] < 1e-6);
  CHECK(pairs.values[1] == Approx(4 * 0.64 - 0.36));
  CHECK(pairs.residuals[1] == Approx(0.8 * 0.6 * 5));
  CHECK(images.size() == 2);
}
