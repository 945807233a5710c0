#include "export/poly_data.h"

#include <cmath>

#include "base/error.h"
#include "catch.h"

using namespace lossatlas;

namespace {

const Relief kTilted{"train_loss", {0, 1, 2}, {0, 1}, {0, 1, 2, 10, 11, 12}, {}};

const std::vector<double>& doubles(const NamedArray& array) { return std::get<std::vector<double>>(array.values); }

}  // namespace

TEST_CASE("a surface is meshed cell by cell") {
  const PolyData mesh = surface_mesh(kTilted, {{"train_acc", {1, 2, 3, 4, 5, 6}}}, 2);
  CHECK(mesh.points == std::vector<double>{0, 0, 0, 1, 0, 2, 2, 0, 4, 0, 1, 20, 1, 1, 22, 2, 1, 24});
  CHECK(mesh.polys.connectivity == std::vector<std::int64_t>{0, 1, 4, 3, 1, 2, 5, 4});
  CHECK(mesh.polys.offsets == std::vector<std::int64_t>{4, 8});
  CHECK(mesh.point_data[0].name == "zvalue");
  CHECK(doubles(mesh.point_data[0]) == kTilted.z);
  CHECK(doubles(mesh.point_data[1]) == std::vector<double>{1, 2, 3, 4, 5, 6});
  CHECK(mesh.cell_data[0].name == "averaged zvalue");
  CHECK(doubles(mesh.cell_data[0]) == std::vector<double>{5.5, 6.5});
}

TEST_CASE("holes have no point, and no cell has them as a corner") {
  Relief holed = kTilted;
  holed.z[0] = NAN;
  const PolyData mesh = surface_mesh(holed, {{"train_acc", {1, 2, 3, 4, 5, 6}}}, 1);
  CHECK(mesh.points.size() == 15);
  CHECK(mesh.polys.connectivity == std::vector<std::int64_t>{0, 1, 4, 3});
  CHECK(doubles(mesh.point_data[1]) == std::vector<double>{2, 3, 4, 5, 6});
  holed.z[5] = NAN;
  CHECK_THROWS_WITH(surface_mesh(holed, {}, 1), ContainsSubstring("nothing to mesh"));
}

TEST_CASE("a path lies on the surface, with a point at every line of the grid that it crosses") {
  Path path{"sgd", true, true, {0.5, 1.5}, {0.5, 0.5}, {}, {{"epoch", {0, 4}}}};
  std::vector<std::string> notes;
  const PolyData lines = paths_on_surface({path}, kTilted, 1, notes);
  CHECK(notes.empty());
  CHECK(lines.points == std::vector<double>{0.5, 0.5, 5.5, 1, 0.5, 6, 1.5, 0.5, 6.5});
  CHECK(lines.lines.connectivity == std::vector<std::int64_t>{0, 1, 2});
  CHECK(lines.verts.connectivity == std::vector<std::int64_t>{0, 2});
  CHECK(std::get<std::vector<std::uint8_t>>(lines.point_data[2].values) == std::vector<std::uint8_t>{1, 0, 1});
  CHECK(lines.point_data[3].name == "epoch");
  CHECK(doubles(lines.point_data[3]) == std::vector<double>{0, 2, 4});
}

TEST_CASE("places outside the surface are left out and counted; the line goes on behind them") {
  Path path{"sgd", true, true, {0, 1, 1, 1, 2}, {0, 0, 5, 0, 0}, {}, {}};
  std::vector<std::string> notes;
  const PolyData lines = paths_on_surface({path}, kTilted, 1, notes);
  CHECK(notes == std::vector<std::string>{"1 of 5 places of sgd are not on the surface and left out"});
  CHECK(lines.verts.size() == 4);
  CHECK(lines.lines.size() == 2);
}

TEST_CASE("marked places are vertices without a line") {
  std::vector<std::string> notes;
  const PolyData marks = paths_on_surface({{"points", false, true, {0, 2}, {0, 1}, {}, {}}}, kTilted, 1, notes);
  CHECK(marks.lines.size() == 0);
  CHECK(marks.verts.size() == 2);
}
