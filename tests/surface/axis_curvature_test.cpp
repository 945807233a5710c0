#include "surface/axis_curvature.h"

#include <cmath>

#include "catch.h"

using namespace lossatlas;
using nlohmann::json;

TEST_CASE("curvatures along axes are written and read again, what is not known as null") {
  AxisCurvature x{.axis = "x",
                  .length = 17.6,
                  .samples = 2000,
                  .scale = {{{0.015, 6.7, 0.3}, {0.03, 6.8, 0.2}, {0.06, 6.9, 0.1}}},
                  .autodiff = AutodiffCurvature{5.4, 0.25}};
  AxisCurvature y{.axis = "y", .length = 3, .samples = 2000, .scale = {}, .autodiff = {}};
  y.scale[1] = {0.1, std::nan(""), std::nan("")};
  const json stored = json::parse(axis_curvatures_json({x, y}).dump());
  CHECK(stored[0]["step"] == 0.03);
  CHECK(stored[0]["autodiff"] == json{{"value", 5.4}, {"standard_error", 0.25}});
  CHECK(stored[1]["scale"][1] == json{{"step", 0.1}, {"value", nullptr}, {"standard_error", nullptr}});
  CHECK(stored[1]["autodiff"].is_null());
  const auto read = axis_curvatures_from(stored);
  REQUIRE(read.size() == 2);
  CHECK(read[0].axis == "x");
  CHECK(read[0].at_step().value == 6.8);
  CHECK(read[0].scale[2].standard_error == 0.1);
  CHECK(read[0].autodiff->value == 5.4);
  CHECK(std::isnan(read[1].at_step().value));
  CHECK_FALSE(read[1].autodiff.has_value());
  CHECK(axis_curvatures_json(read) == stored);
}

TEST_CASE("curvatures along axes that strangers wrote are read as far as they make sense") {
  for (const char* text : {"null", "3", "{}", "[]", "[1, null, {}]", R"([{"axis": 3}])"}) {
    CHECK(axis_curvatures_from(json::parse(text)).empty());
  }
  const auto odd = axis_curvatures_from(json::parse(
      R"([{"axis": "x", "samples": "many", "scale": [1, {"step": "h"}, null, {}, {}], "autodiff": {"value": []}}])"));
  REQUIRE(odd.size() == 1);
  CHECK(odd[0].samples == 0);
  CHECK(std::isnan(odd[0].at_step().step));
  CHECK(std::isnan(odd[0].autodiff->value));
}
