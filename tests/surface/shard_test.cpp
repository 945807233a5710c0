#include "surface/shard.h"

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

#include "catch.h"

using namespace lossatlas;

namespace {

Surface surface_of_shard(const Grid& grid, const std::string& shard, Form form = Single{}) {
  Surface surface(grid, loss_and_accuracy(Split::train), std::move(form));
  surface.settings["shard"] = shard;
  return surface;
}

}  // namespace

TEST_CASE("a shard is read from its text, and nothing else is") {
  CHECK(shard_from("3/16") == Shard{3, 16});
  CHECK(shard_from("1/1") == Shard{1, 1});
  CHECK(shard_from("03/16") == Shard{3, 16});
  CHECK(text_of({3, 16}) == "3/16");
  for (const char* text : {"", "3", "x", "/", "3/", "/16", "17/16", "0/4", "0/0", "-1/4", "3/16 ", " 3/16", "+3/16",
                           "3/1e2", "1/100001", "1/2/3", "18446744073709551617/18446744073709551617"}) {
    CAPTURE(text);
    CHECK(!shard_from(text));
  }
  CHECK(!shard_of({{"seed", 1}}));
  CHECK(!shard_of({{"shard", 3}}));
  CHECK(shard_of({{"shard", "3/16"}}) == Shard{3, 16});
}

TEST_CASE("the file of a shard is named after the whole") {
  CHECK(shard_file("out/S.h5", {3, 16}) == "out/S-03-of-16.h5");
  CHECK(shard_file("S.h5", {3, 4}) == "S-3-of-4.h5");
  CHECK(shard_file("S.h5", {100, 100}) == "S-100-of-100.h5");
  CHECK(shard_file("S", {1, 10}) == "S-01-of-10");
}

TEST_CASE("blocks are a 1024th of the points, 1 to 8") {
  CHECK(block_of_shards(9) == 1);
  CHECK(block_of_shards(2047) == 1);
  CHECK(block_of_shards(2048) == 2);
  CHECK(block_of_shards(51 * 51) == 2);
  CHECK(block_of_shards(1'000'000) == 8);
}

TEST_CASE("of a 3x3 grid the first of two shards has the centre, and every second point after it") {
  // The order: the centre 4, the corner of the coarsest lattice 0, those of every second index 2, 6, 8, then the rest.
  CHECK(points_of_shard(surface_of_shard({{-1, 1, 3}, {-1, 1, 3}}, "1/2")) == std::vector<std::size_t>{4, 2, 8, 3, 7});
  CHECK(points_of_shard(surface_of_shard({{-1, 1, 3}, {-1, 1, 3}}, "2/2")) == std::vector<std::size_t>{0, 6, 1, 5});
}

TEST_CASE("every point is of one shard, and shards differ by a block") {
  const Grid plane{{-1, 1, 51}, {-1, 1, 41}}, line{{-0.5, 1.5, 61}}, space{{-1, 1, 5}, {-1, 1, 4}, {0, 1, 3}};
  for (const auto& [grid, form, count] : std::vector<std::tuple<Grid, Form, std::size_t>>{{plane, Single{}, 16},
                                                                                          {plane, Repeats{3}, 7},
                                                                                          {line, Single{}, 4},
                                                                                          {line, FanLines{5}, 4},
                                                                                          {space, Single{}, 60}}) {
    const std::size_t points = Surface(grid, loss_and_accuracy(Split::train), form).size();
    std::vector<int> seen(points);
    for (std::size_t number = 1; number <= count; ++number) {
      const auto own = points_of_shard(surface_of_shard(grid, text_of({number, count}), form));
      CHECK(own.size() + block_of_shards(points) >= points / count);
      CHECK(own.size() <= points / count + block_of_shards(points));
      for (const std::size_t point : own) ++seen.at(point);
    }
    CHECK(std::all_of(seen.begin(), seen.end(), [](int times) { return times == 1; }));
  }
}

TEST_CASE("what is there of a surface in words, of a shard's own points") {
  Surface surface = surface_of_shard({{-1, 1, 3}, {-1, 1, 3}}, "2/2");
  surface.set(0, {1, 0, 50, 0, 10});
  surface.set(4, {1, 0, 50, 0, 10});  // of the other shard
  CHECK(points_text(surface) == "1 of 4 points of shard 2/2");
  surface.settings.erase("shard");
  CHECK(points_text(surface) == "2 of 9 points");
  CHECK(points_of_shard(surface).empty());
}
