#include "surface/summary.h"

#include <cmath>
#include <limits>

#include "catch.h"
#include "storage/hdf5.h"
#include "surface/surface_file.h"
#include "surface_of.h"
#include "temporary_folder.h"

using namespace lossatlas;

namespace {

Surface square(std::size_t points, double reach, const Height& loss) {
  return surface_of({-reach, reach, points}, {-reach, reach, points}, loss);
}

bool hints_at(const Summary& summary, const std::string& words) {
  for (const auto& hint : summary.hints) {
    if (hint.find(words) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("numbers of a paraboloid are exact") {
  // Axes of unlike steps, and a mixed term: H = [[4, 1], [1, 3]].
  const Surface surface =
      surface_of({-1, 1, 21}, {-2, 2, 11}, [](double x, double y) { return 0.5 + 2 * x * x + x * y + 1.5 * y * y; });
  const Summary summary = summarize(surface);
  CHECK(summary.is_centre_exact);
  CHECK(summary.centre.loss == 0.5);
  CHECK(summary.centre_accuracy == 50);
  CHECK(summary.lowest.loss == 0.5);
  CHECK(summary.lowest.at[0] == 0);
  CHECK(summary.highest.loss == Approx(0.5 + 2 + 2 + 6));
  CHECK(summary.minima == 1);
  CHECK(summary.curvature.points == 25);
  CHECK(summary.curvature.smallest() == Approx(3.5 - std::sqrt(1.25)));
  CHECK(summary.curvature.largest() == Approx(3.5 + std::sqrt(1.25)));
  CHECK(summary.curvature.condition == Approx((3.5 + std::sqrt(1.25)) / (3.5 - std::sqrt(1.25))));
  CHECK(summary.curvature.is_convex());
  CHECK(summary.hints.empty());
}

TEST_CASE("the width is the diameter of the region below twice the centre's loss") {
  const Height bowl = [](double x, double y) { return 1 + x * x + y * y; };
  const Summary summary = summarize(square(81, 2, bowl));  // the unit disc
  CHECK(summary.width == Approx(2).epsilon(2e-3));
  CHECK_FALSE(summary.is_width_bound);
  // An ellipse with axes 1 and 1/2 has the area of a circle of diameter 2 / sqrt 2.
  const Summary ellipse = summarize(square(81, 2, [](double x, double y) { return 1 + x * x + 4 * y * y; }));
  CHECK(ellipse.width == Approx(std::sqrt(2.0)).epsilon(3e-3));
  // The region fills the grid: a square of side 1.
  const Summary cut = summarize(square(11, 0.5, bowl));
  CHECK(cut.is_width_bound);
  CHECK(cut.width == Approx(2 * std::sqrt(1 / M_PI)));
}

TEST_CASE("another valley does not widen the one around the centre") {
  const auto valley = [](double d) { return d * d * 25; };
  const Summary one = summarize(square(81, 2, [&](double x, double y) { return 1 + valley(std::hypot(x, y)); }));
  const Summary two = summarize(square(
      81, 2, [&](double x, double y) { return 1 + valley(std::min(std::hypot(x, y), std::hypot(x - 1.5, y))); }));
  CHECK(one.width == Approx(0.4).epsilon(0.05));
  CHECK(two.width == one.width);
  CHECK(two.minima == 2);
  CHECK_FALSE(two.is_width_bound);
}

TEST_CASE("a saddle is not convex, and a slope has no minimum") {
  const Summary saddle = summarize(square(11, 1, [](double x, double y) { return 3 + x * x - 2 * y * y; }));
  CHECK(saddle.curvature.smallest() == Approx(-4));
  CHECK(saddle.curvature.largest() == Approx(2));
  CHECK(saddle.curvature.condition == Approx(2));
  CHECK_FALSE(saddle.curvature.is_convex());
  CHECK(saddle.minima == 0);
  CHECK(hints_at(saddle, "the centre is not the lowest point: 3 there, 1 at (0, -1)"));
  const Summary slope = summarize(square(11, 1, [](double x, double) { return 3 + x; }));
  CHECK(slope.minima == 0);
  CHECK(slope.steepest.size() == Approx(0.2));
}

TEST_CASE("minima are counted, each plateau once, none at the border") {
  const double pi = std::acos(-1.0);
  const auto waves = [&](double x, double y) { return 5 - std::cos(2 * pi * x) - std::cos(2 * pi * y); };
  CHECK(summarize(square(41, 1.5, waves)).minima == 9);
  CHECK(summarize(square(41, 1.0, waves)).minima == 1);  // the other eight lie on the border
  const auto floor = [](double x, double y) { return std::max(1.0, x * x + y * y); };
  CHECK(summarize(square(21, 2, floor)).minima == 1);
  // A step beside the plateau goes down: no minimum.
  const auto ledge = [](double x, double y) { return x > 0.9 ? 0.5 : std::max(1.0, x * x + y * y); };
  CHECK(summarize(square(21, 2, ledge)).minima == 0);
}

TEST_CASE("the largest step is named with both its ends, from the lower") {
  Surface surface = square(5, 1, [](double x, double y) { return 1 + x * x + y * y; });
  surface.loss()[1 * 5 + 3] = 11;  // (0.5, -0.5); its neighbours have 1.25 at (0, -0.5) and (0.5, 0)
  const Rise step = summarize(surface).steepest;
  CHECK(step.size() == Approx(9.75));
  CHECK(step.to.at[0] == 0.5);
  CHECK(step.to.at[1] == -0.5);
  CHECK(step.from.loss == 1.25);
}

TEST_CASE("minima deeper than the stated error are counted apart") {
  Surface surface({{-1, 1, 9}, {-1, 1, 9}}, measures_with(Split::train, {error_name(Split::train)}));
  const std::vector<double> half_widths(surface.size(), 0.1);
  for (std::size_t i = 0; i < surface.size(); ++i) surface.set(i, {2, 0, 50, 0, 10, {{"loss_error", half_widths[i]}}});
  surface.loss()[2 * 9 + 2] = 1.95;
  surface.loss()[6 * 9 + 6] = 1.5;
  const Summary summary = summarize(surface);
  CHECK(summary.minima == 2);
  CHECK(summary.clear_minima == 1);
  CHECK_FALSE(summarize(square(9, 2, [](double x, double y) { return x * x + y * y; })).clear_minima.has_value());
}

TEST_CASE("losses that are not finite count as high, missing ones are passed over") {
  const double inf = std::numeric_limits<double>::infinity();
  Surface surface = square(9, 2, [](double x, double y) { return 1 + 8 * (x * x + y * y); });
  for (std::size_t i = 0; i < 9; ++i) surface.loss()[i] = i % 2 == 0 ? inf : std::nan("");
  const Summary summary = summarize(surface);
  CHECK(summary.not_finite == 9);
  CHECK(summary.highest.loss == 1 + 8 * (4 + 4));
  CHECK(summary.minima == 1);
  CHECK_FALSE(summary.is_width_bound);
  CHECK(std::isfinite(summary.steepest.size()));
  CHECK(summary.hints.empty());

  // The same with a hole beside the centre.
  Surface hole = surface;
  hole.state[4 * 9 + 5] = PointState::missing;
  hole.loss()[4 * 9 + 5] = std::nan("");
  const Summary holed = summarize(hole);
  CHECK(holed.is_width_bound);
  CHECK(holed.width < summary.width);
  CHECK(holed.minima == 0);
  CHECK(holed.curvature.points == 24);
  CHECK(holed.curvature.smallest() == Approx(16));
  CHECK_FALSE(holed.is_complete());
}

TEST_CASE("nothing is said of a surface without points, or of a centre that is not finite") {
  const Summary empty = summarize(Surface({{-1, 1, 5}, {-1, 1, 5}}, loss_and_accuracy(Split::train)));
  for (const double value : {empty.centre.loss, empty.lowest.loss, empty.width, empty.steepest.size(),
                             empty.curvature.smallest(), empty.curvature.condition, empty.standard_error}) {
    CHECK(std::isnan(value));
  }
  CHECK(empty.minima == 0);
  CHECK(empty.evaluated == 0);
  Surface broken = square(5, 1, [](double x, double y) { return x == 0 && y == 0 ? std::nan("") : 1.0; });
  CHECK(std::isnan(summarize(broken).width));
  CHECK_FALSE(summarize(broken).curvature.is_known());
  for (double& loss : broken.loss()) loss = std::nan("");
  CHECK(hints_at(summarize(broken), "the centre is not finite"));
  CHECK_FALSE(hints_at(summarize(broken), "range is too"));
  Surface aside({{0.25, 1, 5}, {0.25, 1, 5}},
                loss_and_accuracy(Split::train));  // the centre is known by its check alone
  for (std::size_t i = 0; i < aside.size(); ++i) aside.set(i, {std::nan(""), 0, 0, 0, 1});
  CHECK(hints_at(summarize(aside), "range is too large"));
  CHECK(hints_at(summarize(aside), "; try a smaller one"));
  aside.centre_check = {{"surface", nullptr}, {"equal", false}};
  CHECK_FALSE(hints_at(summarize(aside), "range is too"));
  CHECK(std::isnan(summarize(surface_of({0, 0, 1}, {0, 0, 1}, [](double, double) { return 2; })).width));
}

TEST_CASE("between networks with stored batch-norm statistics the hint is to recalibrate") {
  Surface surface = square(5, 1, [](double x, double y) { return 1 + 200 * (x * x + y * y); });
  const nlohmann::json between{{"plane", "points"}, {"bn", "stored"}, {"bn_layers", 19}, {"arch", "resnet20"}};
  const auto with = [&](const char* key, const nlohmann::json& value) {
    surface.settings = between;
    surface.settings[key] = value;
    return summarize(surface);
  };
  for (const char* plane : {"points", "pca", "path"}) {
    CHECK(hints_at(with("plane", plane),
                   "at 20 of 25 points the network is far worse than at the centre, with stored "
                   "batch-norm statistics; try --bn recalibrate"));
    CHECK_FALSE(hints_at(with("plane", plane), "the range is too large"));
  }
  CHECK(hints_at(with("arch", "torchscript"), "--bn recalibrate with the network's --arch"));
  for (const Summary& other : {with("plane", "random"), with("plane", "file"), with("bn", "recalibrate"),
                               with("bn_layers", 0), with("bn_layers", nullptr)}) {
    CHECK(hints_at(other, "the range is too large"));
    CHECK_FALSE(hints_at(other, "--bn"));
  }
  surface = square(5, 1, [](double x, double) { return x > 0.9 ? std::nan("") : 1 + 0.1 * x * x; });
  CHECK(hints_at(with("plane", "points"), "at 5 of 25 points"));  // what no smaller range shows
  CHECK(with("plane", "random").hints.empty());
}

TEST_CASE("a grid of one row or column is a line") {
  const Height parabola = [](double x, double y) { return 1 + x * x + y * y; };
  for (const bool is_row : {true, false}) {
    const Axis along{-2, 2, 41}, point{0, 0, 1};
    const Summary summary = summarize(surface_of(is_row ? along : point, is_row ? point : along, parabola));
    CHECK(summary.width == Approx(2));  // from -1 to 1
    CHECK_FALSE(summary.is_width_bound);
    CHECK(summary.minima == 1);
    CHECK(summary.curvature.largest() == Approx(2));
    CHECK(summary.curvature.points == 5);
    CHECK(std::isnan(summary.curvature.condition));
    CHECK(summary.steepest.size() == Approx(4 - 1.9 * 1.9));
  }
}

TEST_CASE("a constant surface has no minimum, and its range is too small") {
  const Summary summary = summarize(square(7, 1, [](double, double) { return 2.0; }));
  CHECK(summary.minima == 0);
  CHECK(summary.is_width_bound);
  CHECK(summary.steepest.size() == 0);
  CHECK(summary.curvature.largest() == Approx(0).margin(1e-12));
  CHECK(hints_at(summary, "range is too small"));
  CHECK(hints_at(summary, "; try --x -10:10 --y -10:10"));
}

TEST_CASE("the centre of a grid without (0, 0) is the nearest point") {
  const Summary summary =
      summarize(surface_of({-0.75, 1.25, 5}, {1, 2, 3}, [](double x, double y) { return x * x + y; }));
  CHECK_FALSE(summary.is_centre_exact);
  CHECK(summary.centre.at[0] == -0.25);
  CHECK(summary.centre.at[1] == 1);
}

TEST_CASE("hints at a range that is too large") {
  Surface surface = square(9, 1, [](double x, double y) { return 0.1 + 20 * (x * x + y * y); });
  CHECK(summarize(surface).hints.empty());  // nothing is known of the classes, and 100 times 0.1 is far
  surface.settings = {{"loss", "cross-entropy"}, {"classes", 10}};
  CHECK(hints_at(summarize(surface), "worse than a uniform guess; try --x -0.09:0.09 --y -0.09:0.09"));
  surface.settings["loss"] = "mse";
  CHECK(summarize(surface).hints.empty());
  // A network that was never trained is as bad at the centre.
  const Height flat = [](double x, double y) { return 2.29 + 0.5 * (x * x + y * y); };
  surface = square(9, 1, flat);
  surface.settings = {{"loss", "cross-entropy"}, {"classes", 10}};
  CHECK(summarize(surface).hints.empty());
}

TEST_CASE("hints at losses that differ by less than their standard error") {
  Surface surface = square(5, 1, [](double x, double y) { return 0.3 + 0.06 * (x * x + y * y); });
  CHECK(summarize(surface).hints.empty());
  surface.fields[0].standard_errors.assign(surface.size(), 0.2);
  CHECK(hints_at(summarize(surface), "standard error"));
  CHECK(summarize(surface).standard_error == 0.2);
}

TEST_CASE("the file of a complete surface holds its numbers, those of each repeat too") {
  const TemporaryFolder folder;
  Surface surface({{-1, 1, 3}, {-1, 1, 3}}, loss_and_accuracy(Split::train), Repeats{2});
  surface.settings = {{"repeat", 2}};
  for (std::size_t i = 0; i < 18; ++i) {
    const auto at = surface.grid.coordinates_of(i % 9);
    const double x = at[0], y = at[1];
    if (i > 0) surface.set(i, {1 + (i < 9 ? 1 : 3) * (x * x + y * y), 0, 50, 0, 10});
  }
  const auto write = [&] {
    write_surface(folder / "s.h5", surface);
    return Hdf5Reader(folder / "s.h5");
  };
  CHECK_FALSE(write().has_attribute("/lossatlas", "summary"));  // a point is missing
  surface.set(0, {3, 0, 50, 0, 10});
  surface.centre_check = {{"equal", true}};
  const auto numbers = nlohmann::json::parse(write().text_attribute("/lossatlas", "summary"));
  CHECK(numbers["curvature"]["eigenvalues"][0].get<double>() == Approx(4));
  REQUIRE(numbers["repeats"].size() == 2);
  CHECK(numbers["repeats"][1]["curvature"]["eigenvalues"][0].get<double>() == Approx(6));
  CHECK(read_surface(folder / "s.h5").centre_check == surface.centre_check);
}

TEST_CASE("numbers of three axes: three curvatures, minima among 26 neighbours, no width") {
  // H = [[2, 1, 0], [1, 4, 0], [0, 0, 6]], in steps of three lengths.
  const auto bowl = [](const std::vector<double>& at) {
    return 1 + at[0] * at[0] + at[0] * at[1] + 2 * at[1] * at[1] + 3 * at[2] * at[2];
  };
  const Surface surface = surface_over({{-1, 1, 5}, {-2, 2, 5}, {-3, 3, 7}}, bowl);
  const Summary summary = summarize(surface);
  REQUIRE(summary.curvature.eigenvalues.size() == 3);
  CHECK(summary.curvature.eigenvalues[0] == Approx(3 - std::sqrt(2.0)));
  CHECK(summary.curvature.eigenvalues[1] == Approx(3 + std::sqrt(2.0)));
  CHECK(summary.curvature.eigenvalues[2] == Approx(6));
  CHECK(summary.curvature.condition == Approx(6 / (3 - std::sqrt(2.0))));
  CHECK(summary.curvature.points == 125);
  CHECK(summary.minima == 1);
  CHECK(std::isnan(summary.width));
  CHECK(summary.lowest.at == std::vector<double>{0, 0, 0});
  const auto numbers = json_of(summary);
  CHECK(numbers["width"].is_null() == false);  // NaN, which JSON text has as null
  CHECK(numbers["centre"]["z"] == 0);
  CHECK(numbers["steepest"]["to"].size() == 3);

  // Lower along one diagonal of the cube alone: no minimum at the centre any more.
  Surface dented = surface;
  const std::vector<std::size_t> diagonal{3, 3, 4};
  dented.loss()[dented.grid.point_of(diagonal)] = 0.5;
  CHECK(summarize(dented).minima == 1);
  CHECK(summarize(dented).lowest.at == std::vector<double>{0.5, 1, 1});
}
