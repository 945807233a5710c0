#include "export/solid.h"

#include <cmath>
#include <map>

#include "base/error.h"
#include "catch.h"

using namespace lossatlas;

namespace {

/// Every edge is run through once in each direction: closed, without edges of three triangles, and of one orientation.
bool is_closed(const Solid& solid) {
  std::map<std::pair<std::size_t, std::size_t>, int> edges;
  for (const auto& [a, b, c] : solid.triangles) {
    for (const auto& edge : {std::pair(a, b), std::pair(b, c), std::pair(c, a)}) ++edges[edge];
  }
  for (const auto& [edge, count] : edges) {
    const auto other = edges.find({edge.second, edge.first});
    if (count != 1 || other == edges.end() || other->second != 1) return false;
  }
  return true;
}

/// By the divergence theorem; above 0 where the normals point outwards.
double volume(const Solid& solid) {
  double sum = 0;
  for (const auto& [i, j, k] : solid.triangles) {
    const auto &a = solid.points[i], &b = solid.points[j], &c = solid.points[k];
    sum += a[0] * (b[1] * c[2] - b[2] * c[1]) + a[1] * (b[2] * c[0] - b[0] * c[2]) + a[2] * (b[0] * c[1] - b[1] * c[0]);
  }
  return sum / 6;
}

}  // namespace

TEST_CASE("a solid is closed, upright and of the size that was asked for") {
  Relief relief{"z", {0, 1, 4}, {0, 1, 2, 2.5}, std::vector<double>(12, 7), {}};
  const Solid flat = solid_of(relief, {100, 40, 3});
  CHECK(is_closed(flat));
  CHECK(volume(flat) == Approx(100 * 62.5 * 3));
  relief.z[5] = 9;
  const Solid peak = solid_of(relief, {100, 40, 3});
  CHECK(is_closed(peak));
  CHECK(volume(peak) > volume(flat));
  CHECK(peak.points[5][2] == 43);
  CHECK(peak.points[0] == std::array<double, 3>{-50, -31.25, 3});
}

TEST_CASE("a tilted plane has the volume of a wedge, whichever way its axes run") {
  Relief relief{"z", {0, 1, 2}, {0, 2}, {0, 1, 2, 0, 1, 2}, {}};
  const double expected = 10 * 10 * (1 + 8.0 / 2);
  CHECK(volume(solid_of(relief, {10, 8, 1})) == Approx(expected));
  Relief falling{"z", {2, 1, 0}, {2, 0}, {2, 1, 0, 2, 1, 0.5}, {}};
  const Solid solid = solid_of(falling, {10, 8, 1});
  CHECK(is_closed(solid));
  CHECK(volume(solid) > 0);
  CHECK(solid.points[0] ==
        std::array<double, 3>{-5, -5, 3});  // the corner x = 0, y = 0 is the last of the falling grid
}

TEST_CASE("holes of a solid are filled at the highest value, and that is said") {
  Relief relief{"z", {0, 1}, {0, 1}, {NAN, 1, 2, 0}, {}};
  CHECK(is_closed(solid_of(relief, {})));
  CHECK(relief.z[0] == 2);
  CHECK(relief.notes == std::vector<std::string>{"1 point without a value, filled at the highest, 2"});
}

TEST_CASE("coordinates that single precision cannot tell apart are refused") {
  Relief relief{"z", {0, 1, 1 + 1e-12}, {0, 1}, std::vector<double>(6, 1), {}};
  CHECK_THROWS_AS(solid_of(relief, {}), Error);
}
