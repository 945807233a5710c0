#include "export/relief.h"

#include <cmath>

#include "base/error.h"
#include "catch.h"

using namespace lossatlas;

namespace {

/// A plane of 3 x 2 points: x fastest.
GridFile grid_of(std::vector<double> values, std::vector<std::uint8_t> state = {1, 1, 1, 1, 1, 1}) {
  return {"s.h5", {{"x", {0, 1, 3}}, {"y", {0, 2}}}, {{"train_loss", std::move(values)}}, std::move(state)};
}

Relief relief(const GridFile& grid, const HeightOptions& options = {}) {
  return relief_of(grid, grid.fields.front(), options);
}

}  // namespace

TEST_CASE("heights are cut, then their logarithms are taken") {
  const auto grid = grid_of({0, 1, 2, 3, 4, 5});
  CHECK(relief(grid).z == std::vector<double>{0, 1, 2, 3, 4, 5});
  CHECK(relief(grid, {0, 3.5, false}).z == std::vector<double>{0, 1, 2, 3, 3.5, 3.5});
  const auto both = relief(grid, {0, 3.5, true});
  CHECK(both.z[0] == std::log(0.1));
  CHECK(both.z[5] == std::log(3.6));
  CHECK(both.notes == std::vector<std::string>{"2 points above 3.5 cut there"});
}

TEST_CASE("what is missing or not finite is a hole; the cut holds for what is not finite, not for what is missing") {
  const auto grid = grid_of({NAN, NAN, INFINITY, 3, 4, -INFINITY}, {0, 1, 1, 1, 1, 1});
  CHECK(relief(grid).holes() == 4);
  CHECK(relief(grid).notes == std::vector<std::string>{"1 point not evaluated", "3 points not finite"});
  const auto cut = relief(grid, {0, 10.0, false});
  CHECK(std::isnan(cut.z[0]));
  CHECK(cut.z[1] == 10);
  CHECK(cut.z[2] == 10);
  CHECK(std::isnan(cut.z[5]));
}

TEST_CASE("values without a logarithm are holes") {
  const auto found = relief(grid_of({-0.1, -5, 0, 3, 4, 5}), {0, std::nullopt, true});
  CHECK(found.holes() == 2);
  CHECK(found.notes == std::vector<std::string>{"2 points at -0.1 or below have no logarithm"});
}

TEST_CASE("reliefs that cannot be made are refused") {
  CHECK_THROWS_WITH(relief(grid_of({NAN, NAN, NAN, NAN, NAN, NAN})), ContainsSubstring("nothing to mesh"));
  CHECK_THROWS_WITH(relief(grid_of({-1, -1, -1, -1, -1, -1}), {0, std::nullopt, true}), ContainsSubstring("logarithm"));
  CHECK_THROWS_WITH(relief(grid_of({0, 1, 2, 3, 4, 5}), {9, std::nullopt, false}),
                    ContainsSubstring("at least 4 points"));
  GridFile line{"l.h5", {{"x", {0, 1}}}, {{"train_loss", {1, 2}}}, {1, 1}};
  CHECK_THROWS_WITH(relief(line), ContainsSubstring("along one line"));
  line.axes.push_back({"y", {0}});
  CHECK_THROWS_WITH(relief(line), ContainsSubstring("one row"));
  line.axes.push_back({"z", {0}});
  CHECK_THROWS_WITH(relief(line), ContainsSubstring("more than two axes"));
}

TEST_CASE("heights between points are bilinear, and none outside or beside a hole") {
  auto found = relief(grid_of({0, 1, 2, 10, 11, 12}));
  CHECK(found.height_at(0.5, 0) == 0.5);
  CHECK(found.height_at(2, 1) == 6.5);
  CHECK(found.height_at(3, 2) == 12);
  CHECK(std::isnan(found.height_at(3.1, 0)));
  CHECK(std::isnan(found.height_at(0, -0.1)));
  found.z[0] = NAN;
  CHECK(std::isnan(found.height_at(0.5, 1)));
  CHECK(found.height_at(2, 1) == 6.5);
}
