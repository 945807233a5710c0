#include "export/spline.h"

#include <cmath>

#include "catch.h"

using namespace lossatlas;

namespace {

const std::vector<double> kUneven{-1, -0.3, 0.1, 0.2, 0.9, 1.5};

double cubic(double x) { return 2 - x + 3 * x * x - 0.7 * x * x * x; }

template <class Function>
std::vector<double> values_of(const std::vector<double>& x, const Function& f) {
  std::vector<double> values;
  for (const double place : x) values.push_back(f(place));
  return values;
}

}  // namespace

TEST_CASE("a spline is exact for cubics, between points and at them, on uneven and on falling coordinates") {
  const std::vector<double> at{-1, -0.9, -0.3, 0, 0.15, 0.3, 1.2, 1.5};
  const std::vector<double> falling(kUneven.rbegin(), kUneven.rend());
  for (const auto& x : {kUneven, falling, std::vector<double>{-1, 0, 1, 1.5}}) {
    const auto found = spline(x, values_of(x, cubic), at);
    for (std::size_t i = 0; i < at.size(); ++i) CHECK(found[i] == Approx(cubic(at[i])).epsilon(1e-13));
  }
}

TEST_CASE("a spline meets its points, and its second derivative has no jump") {
  const auto y = values_of(kUneven, [](double x) { return std::sin(5 * x); });
  CHECK(spline(kUneven, y, kUneven) == y);
  constexpr double h = 1e-3;
  for (std::size_t i = 1; i + 1 < kUneven.size(); ++i) {
    const double x = kUneven[i];
    const auto s = spline(kUneven, y, std::vector{x - 2 * h, x - h, x, x + h, x + 2 * h});
    const double left = (s[0] - 2 * s[1] + s[2]) / (h * h), right = (s[2] - 2 * s[3] + s[4]) / (h * h);
    CHECK(std::abs(left - right) < 1);  // the third derivative times 2h; a jump would be of the order of 25
  }
}

TEST_CASE("a bicubic spline is exact for products of cubics on a grid that is not square") {
  const std::vector<double> y{0, 1, 3, 4}, at_x{-0.5, 0.05, 1.4}, at_y{0.5, 3.5};
  std::vector<double> values;
  for (const double v : y) {
    for (const double u : kUneven) values.push_back(cubic(u) * (v * v * v - v + 1));
  }
  const auto found = bicubic_spline(kUneven, y, values, at_x, at_y);
  REQUIRE(found.size() == 6);
  for (std::size_t i = 0; i < 6; ++i) {
    const double v = at_y[i / 3];
    CHECK(found[i] == Approx(cubic(at_x[i % 3]) * (v * v * v - v + 1)).epsilon(1e-12));
  }
}
