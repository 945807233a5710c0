#include "surface/barrier.h"

#include <cmath>
#include <vector>

#include "catch.h"
#include "surface/surface.h"

using namespace lossatlas;

TEST_CASE("a barrier is the highest value between the ends above their mean") {
  const std::vector<double> t{-0.5, 0, 0.5, 0.75, 1, 1.5}, values{9, 1, 4, 3, 2, 9};
  const Barrier barrier = barrier_of(t, values, 1, 2);
  CHECK(barrier.highest == 4);
  CHECK(barrier.at == 0.5);
  CHECK(barrier.height == 2.5);
  const Barrier low = barrier_of(t, std::vector<double>{0, 0, 0, 0, 0, 0}, 1, 2);
  CHECK(low.at == 1);
  CHECK(low.height == 0.5);
  CHECK(std::isinf(barrier_of(t, std::vector<double>{0, 0, std::nan(""), 0, 0, 0}, 1, 2).height));
}

TEST_CASE("only a complete line between two checkpoints has one") {
  Surface line({{0, 1, 3}}, loss_and_accuracy(Split::train));
  line.points = {{"a", {0}}, {"b", {1}}};
  line.set(0, {1, 0, 90, 0, 1});
  line.set(1, {5, 0, 40, 0, 1});
  CHECK(interpolation_json(line).is_null());
  line.set(2, {2, 0, 80, 0, 1});
  const auto found = interpolation_json(line);
  CHECK(found.size() == 2);
  CHECK(found["train_loss"]["barrier"] == 3.5);
  CHECK(found["train_err"]["highest"] == 60);
  CHECK(found["train_err"]["barrier"] == 45);
  // The line's own values count, also where those of the checkpoints differ.
  line.loss()[2] = 4;
  CHECK(interpolation_json(line)["train_loss"]["barrier"] == 2.5);
  line.grid.axes[0] = {0.25, 1.25, 3};
  CHECK(interpolation_json(line).is_null());
  // Ends beside the grid count with the line's values there, not with the checkpoints' own.
  for (int end = 0; end < 2; ++end) {
    CHECK(interpolation_json(line).is_null());
    line.points[end].values = {{"plane_loss", 1 + end}, {"plane_acc", 90 - 20 * end}};
  }
  const auto beside = interpolation_json(line);  // the loss between them is 5 at 0.75, and 1 at 0.25
  CHECK(beside["train_loss"]["barrier"] == 3.5);
  CHECK(beside["train_loss"]["ends"] == nlohmann::json{1, 2});
  CHECK(beside["train_err"]["barrier"] == 40);
  line.grid = {{0, 1, 3}, {0, 0, 1}};
  CHECK(interpolation_json(line).is_null());
}
