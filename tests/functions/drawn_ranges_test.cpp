#include "functions/drawn_ranges.h"

#include <vector>

#include "catch.h"

using namespace lossatlas;

namespace {

Descent along(std::vector<double> position, DescentEnd end) {
  Descent descent;
  descent.variables = 1;
  descent.value.assign(position.size(), 0);
  descent.position = std::move(position);
  descent.end = end;
  return descent;
}

}  // namespace

TEST_CASE("a picture holds the steps with a margin, of a known function its domain as it is") {
  const auto ranges = drawn_ranges({along({0, 3, 4}, DescentEnd::converged)}, {{0}}, nullptr, 1);
  CHECK(ranges[0].low == Approx(-0.6));
  CHECK(ranges[0].high == Approx(4.6));
  const NamedFunction* known = find_function("rosenbrock");
  REQUIRE(known);
  const auto domain = drawn_ranges({}, {}, known, 2);
  CHECK(domain[0].low == known->domain[0][0]);
  CHECK(domain[1].high == known->domain[1][1]);
}

TEST_CASE("of a descent that diverged a picture holds the steps near its start") {
  const auto ranges = drawn_ranges({along({1, -3, 9, 1e6, -1e9}, DescentEnd::diverged)}, {{1}}, nullptr, 1);
  CHECK(ranges[0].high < 100);
  CHECK(ranges[0].low > -100);
}
