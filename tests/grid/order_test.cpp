#include "grid/order.h"

#include <algorithm>
#include <set>

#include "catch.h"

using namespace lossatlas;

namespace {

Grid grid_of(int nx, int ny) { return {{0, 1, static_cast<std::size_t>(nx)}, {0, 1, static_cast<std::size_t>(ny)}}; }

}  // namespace

TEST_CASE("coarse to fine holds every point once, the centre first") {
  for (const auto& [nx, ny] : {std::pair{51, 41}, {1, 1}, {1, 7}, {33, 2}}) {
    const auto count = static_cast<std::size_t>(nx) * static_cast<std::size_t>(ny);
    const auto order = coarse_to_fine(grid_of(nx, ny), count / 2);
    CHECK(order.size() == count);
    CHECK(std::set<std::size_t>(order.begin(), order.end()).size() == count);
    CHECK(*std::max_element(order.begin(), order.end()) == count - 1);
    CHECK(order.front() == count / 2);
  }
}

TEST_CASE("each level of the order is twice as fine as the one before") {
  const auto order = coarse_to_fine(grid_of(51, 51), 25 * 51 + 25);
  std::size_t at = 1;
  for (const std::size_t step : {16u, 8u, 4u, 2u}) {
    const std::size_t along = 50 / step + 1;  // the centre's index is odd: no level holds it
    for (; at < along * along + 1; ++at) {
      CHECK(order[at] % 51 % step == 0);
      CHECK(order[at] / 51 % step == 0);
    }
  }
}

TEST_CASE("with repeats each step is done in all grids before the next finer one") {
  const auto one = coarse_to_fine(grid_of(7, 5), 17), three = coarse_to_fine(grid_of(7, 5), 17, 3);
  CHECK(std::set<std::size_t>(three.begin(), three.end()).size() == 3 * 35);
  CHECK(std::vector(three.begin(), three.begin() + 3) == std::vector<std::size_t>{17, 52, 87});
  std::vector<std::size_t> first;
  for (const std::size_t point : three) {
    if (point < 35) first.push_back(point);
  }
  CHECK(first == one);
  // The coarse points of the last grid come before the fine ones of the first.
  const auto place = [&](std::size_t point) { return std::find(three.begin(), three.end(), point) - three.begin(); };
  CHECK(place(70 + 4) < place(1));
}

TEST_CASE("three axes go coarse to fine as two do, each point once") {
  const Grid grid{{1, 2, 5}, {1, 2, 3}, {1, 2, 4}};
  const auto order = coarse_to_fine(grid, grid.centre());
  CHECK(order.front() == 2 * 15 + 1 * 5 + 2);
  CHECK(std::set<std::size_t>(order.begin(), order.end()).size() == 60);
  // Of step 16: the corner at 0; of step 4 the one other multiple of 4; of step 2 the even indices, x fastest.
  CHECK(std::vector(order.begin() + 1, order.begin() + 5) == std::vector<std::size_t>{0, 4, 2, 10});
}
