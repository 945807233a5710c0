#include "grid/grid.h"

#include <set>

#include "catch.h"
#include "grid/measure.h"

using namespace lossatlas;

TEST_CASE("axes are exactly symmetric and hit their ends") {
  const Axis axis{-1, 1, 51};
  CHECK(axis.at(25) == 0);
  for (std::size_t i = 0; i < 51; ++i) CHECK(axis.at(i) == -axis.at(50 - i));
  CHECK(Axis{-0.5, 1.5, 5}.coordinates() == std::vector<double>{-0.5, 0, 0.5, 1, 1.5});
  CHECK(Axis{0.25, 0.25, 1}.coordinates() == std::vector<double>{0.25});
  const Axis beyond{-0.2, 1.2, 57};
  CHECK(beyond.index_of(0) == 8);
  CHECK(beyond.index_of(1) == 48);
}

TEST_CASE("points of a grid are numbered with the first axis fastest") {
  const Grid grid{{-1, 1, 3}, {0, 1, 2}, {-2, 2, 5}};
  CHECK(grid.size() == 30);
  CHECK(grid.shape() == std::vector<std::size_t>{5, 2, 3});
  CHECK(grid.axes[2].name == "z");
  CHECK(axis_name(3) == "w");
  CHECK(axis_name(4) == "axis5");
  CHECK(grid.indices_of(3 * 6 + 1 * 3 + 2) == std::vector<std::size_t>{2, 1, 3});
  CHECK(grid.coordinates_of(23) == std::vector<double>{1, 1, 1});
  CHECK(grid.index_of(std::vector<double>{1, 1, 1}) == 23);
  CHECK_FALSE(grid.index_of(std::vector<double>{1, 1, 0.5}));
  CHECK(grid.origin() == 2 * 6 + 0 + 1);
  CHECK_FALSE(Grid{{-1, 1, 2}, {0, 1, 2}}.origin());
  CHECK(Grid{{-1, 1, 4}, {1, 2, 3}}.centre() == 1 * 4 + 2);
}

TEST_CASE("a point within a grid of N axes has 3^N - 1 neighbours, 2 N of them along the axes") {
  std::vector<Axis> axes;
  std::size_t all = 1;
  for (std::size_t n = 1; n <= 4; ++n) {
    axes.push_back({-1, 1, 3});
    all *= 3;
    const Grid grid(axes);
    std::set<std::size_t> around, along;
    grid.for_each_neighbour(grid.centre(), true, [&](std::size_t other) { around.insert(other); });
    grid.for_each_neighbour(grid.centre(), false, [&](std::size_t other) { along.insert(other); });
    CHECK(around.size() == all - 1);
    CHECK(along.size() == 2 * n);
    std::size_t of_corner = 0;
    grid.for_each_neighbour(0, true, [&](std::size_t) { ++of_corner; });
    CHECK(of_corner == (std::size_t{1} << n) - 1);
    CHECK(grid.is_border(0));
    CHECK_FALSE(grid.is_border(grid.centre()));
  }
  CHECK_FALSE(Grid{{-1, 1, 3}, {0, 0, 1}}.is_border(1));
}

TEST_CASE("what a name of a measure means") {
  const Measure top5 = measure_of("test_acc_top5");
  CHECK(top5.kind == "top5");
  CHECK(top5.split == Split::test);
  CHECK(top5.unit == "percent");
  CHECK_FALSE(top5.has_error);
  CHECK(measure_of("train_loss").has_error);
  CHECK(measure_of("train_loss").unit == "nats");
  CHECK(measure_of("train_loss", "").unit.empty());
  CHECK(measure_of("train_loss_class_3").kind == "loss_class_3");
  CHECK_FALSE(measure_of("l2").split);
  for (const char* name : {"train_loss", "test_acc", "train_acc_top5", "test_loss_class_12", "train_loss_error"}) {
    const Measure measure = measure_of(name);
    CHECK(measure_name(measure.kind, *measure.split) == name);
  }
}
