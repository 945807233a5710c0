#include "surface/comparison.h"

#include <cmath>
#include <limits>

#include "catch.h"
#include "surface_of.h"

using namespace lossatlas;

namespace {

/// Loss 10 + x + 100 y, the same whatever the grid.
Surface filled(const Axis& x, const Axis& y) {
  Surface surface = surface_of(x, y, [](double at_x, double at_y) { return 10 + at_x + 100 * at_y; });
  surface.settings = {{"seed", 3}, {"checkpoint", {{"file", "a.pt"}, {"sha256", "0123"}}}};
  return surface;
}

std::size_t index_of(const Surface& surface, double x, double y) {
  return surface.grid.index_of(std::vector{x, y}).value();
}

}  // namespace

TEST_CASE("a surface is equal to itself, bits that are NaN included") {
  Surface surface = filled({-1, 1, 3}, {0, 1, 2});
  surface.loss()[4] = std::nan("");
  const Comparison comparison = compare(surface, surface);
  CHECK(comparison.settings.empty());
  CHECK(comparison.has_same_values());
  CHECK(comparison.loss.points == 6);
  CHECK(comparison.loss.absolute.difference == 0);
}

TEST_CASE("settings that differ are listed with both values, files by their digest") {
  const Surface a = filled({-1, 1, 3}, {0, 1, 2});
  Surface b = filled({-1, 1, 3}, {0, 1, 2});
  b.settings["checkpoint"]["file"] = "renamed.pt";
  CHECK(compare(a, b).settings.empty());
  b.settings["checkpoint"]["sha256"] = "4567";
  b.settings["bn"] = "stored";
  b.settings.erase("seed");
  const auto settings = compare(a, b).settings;
  REQUIRE(settings.size() == 3);
  CHECK(settings[0].name == "bn");
  CHECK(settings[0].first.is_null());
  CHECK(settings[1].name == "checkpoint");
  CHECK(settings[1].second == "4567");
  CHECK(settings[2].name == "seed");
  CHECK(settings[2].second.is_null());
}

TEST_CASE("values are compared at common coordinates, wherever they stand in the grids") {
  const Surface coarse = filled({-1, 1, 3}, {0, 1, 2});
  Surface fine = filled({-2, 2, 9}, {0, 1, 3});
  Comparison comparison = compare(coarse, fine);
  CHECK(comparison.loss.points == 6);
  CHECK(comparison.loss.other_bits == 0);
  CHECK(comparison.only_first == 0);
  CHECK(comparison.only_second == 27 - 6);
  CHECK_FALSE(comparison.has_same_values());
  REQUIRE(comparison.settings.size() == 1);
  CHECK(comparison.settings[0].name == "axes");

  const std::size_t where = index_of(fine, 1, 1);
  fine.loss()[where] += 0.5;
  fine.loss()[index_of(fine, -1, 0)] += 0.25;
  fine.state[index_of(fine, 0, 0)] = PointState::missing;
  comparison = compare(coarse, fine);
  CHECK(comparison.loss.points == 5);
  CHECK(comparison.only_first == 1);
  CHECK(comparison.loss.other_bits == 2);
  CHECK(comparison.accuracy.other_bits == 0);
  CHECK(comparison.loss.absolute.difference == 0.5);
  CHECK(comparison.loss.absolute.at == std::vector<double>{1, 1});
  CHECK(comparison.loss.absolute.first == 111);
  CHECK(comparison.loss.relative.difference == Approx(0.25 / 9.25));
  CHECK(comparison.loss.relative.at[1] == 0);
}

TEST_CASE("values finite in one surface alone are counted, not subtracted") {
  const Surface a = filled({-1, 1, 3}, {0, 1, 2});
  Surface b = a;
  b.loss()[0] = std::numeric_limits<double>::infinity();
  const Comparison comparison = compare(a, b);
  CHECK(comparison.loss.finite_in_one == 1);
  CHECK(comparison.loss.other_bits == 1);
  CHECK(comparison.loss.absolute.difference == 0);
}

TEST_CASE("of repeats the mean is compared") {
  Surface two({{-1, 1, 3}, {0, 1, 2}}, loss_and_accuracy(Split::train), Repeats{2});
  const Surface one = filled({-1, 1, 3}, {0, 1, 2});
  for (std::size_t i = 0; i < 12; ++i) two.set(i, {one.loss()[i % 6] + (i < 6 ? 1 : -1), 0, 50, 0, 10});
  CHECK(compare(two, one).has_same_values());
}

TEST_CASE("of curves the curve is compared with the curve, and the line with the line") {
  Surface a({{0, 1, 3, "t"}}, loss_and_accuracy(Split::train), CurveWithChord{});
  for (std::size_t i = 0; i < a.size(); ++i) a.set(i, {1.0 + static_cast<double>(i), 0, 50, 0, 10});
  Surface b = a;
  CHECK(compare(a, b).has_same_values());
  // By as much as the line is higher, the curve is lower: their mean stays.
  b.loss()[b.index_in(kCurveMember, 1)] -= 0.5;
  b.loss()[b.index_in(kChordMember, 1)] += 0.5;
  const Comparison comparison = compare(a, b);
  CHECK_FALSE(comparison.has_same_values());
  CHECK(comparison.loss.points == 3);
  CHECK(comparison.loss.absolute.first == 2);
  CHECK(comparison.loss.absolute.second == 1.5);
  CHECK(comparison.line_loss.absolute.first == 5);
  CHECK(comparison.line_loss.absolute.second == 5.5);
}

TEST_CASE("surfaces of other axes have no common points") {
  const Surface plane = filled({-1, 1, 3}, {0, 1, 2});
  const Surface space = surface_over({{-1, 1, 3}, {0, 1, 2}, {0, 1, 2}}, [](const auto& at) { return at[2]; });
  const Comparison comparison = compare(plane, space);
  CHECK(comparison.loss.points == 0);
  CHECK(comparison.only_first == 6);
  CHECK(comparison.only_second == 12);
  Surface other = space;
  other.loss()[7] = 5;  // (0, 0, 1)
  CHECK(compare(space, other).loss.absolute.at == std::vector<double>{0, 0, 1});
  CHECK(json_of(compare(space, other))["loss"]["largest_absolute"]["z"] == 1);
}
