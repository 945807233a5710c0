#include "functions/gallery.h"

#include <cmath>

#include "catch.h"
#include "functions/expression.h"

using namespace lossatlas;

TEST_CASE("the extrema of named functions are extrema") {
  REQUIRE(gallery().size() == 10);
  for (const NamedFunction& named : gallery()) {
    INFO(named.name);
    const Expression function(named.expression);
    REQUIRE(function.variables() == named.domain.size());
    REQUIRE(named.start.size() == named.domain.size());
    CHECK(function.at(named.start).is_finite());
    for (const auto& [point, value] : named.global) {
      const Dual here = function.at(point);
      CHECK(here.value == Approx(value).margin(1e-12));
      const double up = named.maximizes ? -1 : 1;
      for (std::size_t i = 0; i < point.size(); ++i) {
        CHECK(point[i] > named.domain[i][0]);
        CHECK(point[i] < named.domain[i][1]);
        if (named.name != "ackley") CHECK(std::abs(here.gradient[i]) < 1e-6);  // which has a kink there
        for (const double step : {-1e-3, 1e-3}) {
          auto beside = point;
          beside[i] += step;
          CHECK(up * function.at(beside).value > up * here.value);
        }
      }
      // Nothing on a grid over the domain is better.
      for (int a = 0; a <= 200; ++a) {
        for (int b = 0; b <= (point.size() > 1 ? 200 : 0); ++b) {
          std::vector<double> other;
          for (std::size_t i = 0; i < point.size(); ++i) {
            const auto [low, high] = named.domain[i];
            other.push_back(low + (high - low) * (i == 0 ? a : b) / 200);
          }
          if (up * function.at(other).value < up * value - 1e-12) FAIL_CHECK("better at " << other[0]);
        }
      }
    }
  }
  CHECK(find_function("rosenbrock") != nullptr);
  CHECK(find_function("rosenbrok") == nullptr);
}
