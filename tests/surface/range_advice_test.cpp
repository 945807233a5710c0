#include "surface/range_advice.h"

#include <cmath>

#include "catch.h"
#include "surface_of.h"

using namespace lossatlas;

namespace {

std::string smaller(const Surface& surface) { return smaller_range(surface, summarize(surface)); }
std::string wider(const Surface& surface) { return wider_range(surface, summarize(surface)); }

}  // namespace

TEST_CASE("a smaller range shows the basin and as much again around it") {
  // Twice the centre's loss at distance 0.1: the width is 0.2.
  const auto bowl = [](double x, double y) { return 0.01 + x * x + y * y; };
  CHECK(smaller(surface_of({-1, 1, 201}, {-2, 3, 501}, bowl)) == "--x -0.2:0.2 --y -0.2:0.2");
  // On a coarse grid that of a parabola through the points, here 0.2; at most half of the range.
  CHECK(smaller(surface_of({-1, 1, 5}, {-1, 1, 21}, bowl)) == "--x -0.2:0.2 --y -0.08:0.08");
  CHECK(smaller(surface_of({-0.2, 0.2, 41}, {-1, 1, 201}, bowl)) == "--x -0.1:0.1 --y -0.2:0.2");
  // Of a line --x alone; without a basin half of the range.
  CHECK(smaller(surface_over({{-4, 4, 9}}, [](const auto& at) { return at[0] * at[0]; })) == "--x -2:2");
}

TEST_CASE("a range of finite losses ends before the first that is not") {
  const auto broken = [](double x, double y) { return std::max(std::abs(x), std::abs(y) / 2) > 0.65 ? NAN : 1.0; };
  const Surface surface = surface_of({-1, 1, 21}, {-2, 2, 21}, broken);
  CHECK(finite_range(surface) == "--x -0.6:0.6 --y -1.2:1.2");
  CHECK(smaller(surface) == "--x -0.5:0.5 --y -1:1");
  const auto alone = [](double x, double y) { return x == 0 && y == 0 ? 1.0 : INFINITY; };
  CHECK(finite_range(surface_of({-1, 1, 5}, {-1, 1, 5}, alone)) == "--x -0.25:0.25 --y -0.25:0.25");
  CHECK(finite_range(surface_of({-1, 1, 5}, {-1, 1, 5}, [](double, double) { return 1.0; })).empty());
}

TEST_CASE("a wider range reaches twice the centre's loss on a paraboloid") {
  // Twice the loss where r² = 100: in the corners of ±7.07.
  CHECK(wider(surface_of({-1, 1, 5}, {-1, 1, 5}, [](double x, double y) { return 1 + 0.01 * (x * x + y * y); })) ==
        "--x -7:7 --y -7:7");
  CHECK(wider(surface_of({-1, 1, 5}, {-0.5, 0.5, 5}, [](double, double) { return 1.0; })) == "--x -10:10 --y -5:5");
}

TEST_CASE("ranges of more axes are named by their options") {
  const Axis axis{-1, 1, 3};
  CHECK(wider(surface_over({axis, axis, axis, axis, axis}, [](const auto&) { return 1.0; })) ==
        "--x -10:10 --y -10:10 --z -10:10 --w -10:10 --axis 5=-10:10");
}

TEST_CASE("no range is named where it is not free to choose") {
  const auto bowl = [](double x, double y) { return 0.01 + x * x + y * y; };
  CHECK(smaller(surface_of({0.5, 1, 5}, {-1, 1, 5}, bowl)).empty());
  Surface marked = surface_of({-1, 1, 5}, {-1, 1, 5}, bowl);
  marked.points = {{"A", {0, 0}}};
  CHECK(smaller(marked).empty());
  CHECK(wider(marked).empty());
}
