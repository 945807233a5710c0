#include "surface/surface_file.h"

#include <cmath>
#include <limits>

#include "base/error.h"
#include "catch.h"
#include "storage/format.h"
#include "surface/schema.h"
#include "surface_of.h"
#include "temporary_folder.h"

using namespace lossatlas;

namespace {

Surface example() {
  Surface surface({{-1, 1, 3}, {0, 0.5, 2}}, loss_and_accuracy(Split::test));
  surface.set(0, {1.5, 0.1, 40, 2, 10});
  surface.set(4, {std::numeric_limits<double>::infinity(), std::nan(""), 10, 1, 10});
  surface.samples[0].indices = {7, 2, 5};
  surface.settings = {{"arch", "lenet"}, {"seed", 3}};
  surface.provenance = {{"threads", 2}};
  return surface;
}

}  // namespace

TEST_CASE("a surface is read back as it was written") {
  const TemporaryFolder folder;
  const Surface written = example();
  write_surface(folder / "s.h5", written);
  const Surface read = read_surface(folder / "s.h5");
  CHECK(read.split() == Split::test);
  CHECK(read.measures() == written.measures());
  CHECK(read.grid.axes[0].coordinates() == written.grid.axes[0].coordinates());
  CHECK(read.grid.axes[1].coordinates() == written.grid.axes[1].coordinates());
  CHECK(read.loss()[0] == 1.5);
  CHECK(std::isnan(read.loss()[1]));
  CHECK(std::isinf(read.loss()[4]));
  CHECK(read.accuracy()[4] == 10);
  CHECK(read.loss_errors()[0] == 0.1);
  CHECK((read.state == written.state));
  CHECK(read.samples[0].indices == written.samples[0].indices);
  CHECK(read.settings == written.settings);
  CHECK(read.provenance == written.provenance);
  CHECK(read.not_finite() == 1);
}

TEST_CASE("root datasets are those of tomgoldstein/loss-landscape, rows along y") {
  const TemporaryFolder folder;
  write_surface(folder / "s.h5", example());
  const Hdf5Reader reader(folder / "s.h5");
  CHECK(reader.shape("/test_loss") == Shape{2, 3});
  CHECK(reader.shape("/xcoordinates") == Shape{3});
  CHECK(reader.read_text("/dir_file").empty());
  CHECK(reader.read<double>("/VTKHDF/PointData/test_loss")[0] == 1.5);
}

TEST_CASE("repeats and what else was measured are read back; the root holds the mean") {
  const TemporaryFolder folder;
  Surface surface({{-1, 1, 3}, {0, 1, 2}}, measures_with(Split::train, {"train_acc_top5", "l2"}), Repeats{2});
  surface.settings = {{"repeat", 2}};
  surface.set(1, {1, 0.25, 50, 2, 10, {{"top5", 80}, {"l2", 3}}});
  surface.set(6 + 1, {4, 0.75, 70, 4, 10, {{"top5", 90}, {"l2", 3}}});
  surface.set(2, {7, 0, 50, 0, 10, {{"top5", 80}, {"l2", 3}}});  // the second repeat lacks it
  write_surface(folder / "s.h5", surface);
  const Surface read = read_surface(folder / "s.h5");
  CHECK(read.members() == 2);
  CHECK(read.size() == 12);
  CHECK((read.state == surface.state));
  CHECK(read.samples[0].counts == surface.samples[0].counts);
  CHECK(read.measures() == surface.measures());
  for (const std::size_t i : {1u, 2u, 7u}) {
    CHECK(read.loss()[i] == surface.loss()[i]);
    CHECK(read.find("train_acc")->standard_errors[i] == surface.find("train_acc")->standard_errors[i]);
    CHECK(read.values_of("train_acc_top5")[i] == surface.values_of("train_acc_top5")[i]);
  }

  const Hdf5Reader reader(folder / "s.h5");
  CHECK(reader.shape("/train_loss") == Shape{2, 3});
  CHECK(reader.shape("/lossatlas/repeats/train_loss") == Shape{2, 2, 3});
  const auto value = [&](const std::string& name) { return reader.read<double>(name)[1]; };
  CHECK(value("/train_loss") == 2.5);
  CHECK(value("/train_acc") == 60);
  CHECK(value("/lossatlas/train_loss_se") == 0.5);
  CHECK(value("/lossatlas/train_acc_top5") == 85);
  CHECK(value("/lossatlas/train_loss_spread") == Approx(3 / std::sqrt(2.0)));
  CHECK(std::isnan(reader.read<double>("/train_loss")[2]));
  CHECK(std::isnan(reader.read<double>("/lossatlas/train_loss_spread")[2]));
  CHECK(reader.read<std::uint8_t>("/lossatlas/evaluated") == std::vector<std::uint8_t>{0, 1, 0, 0, 0, 0});
}

TEST_CASE("settings that ask for what no surface holds are refused") {
  const TemporaryFolder folder;
  for (const auto& [key, value] : std::vector<std::pair<const char*, nlohmann::json>>{
           {"repeat", 0}, {"repeat", "many"}, {"repeat", -1}, {"repeat", 1.5}, {"more", 7}, {"measures", {"l2", 1}}}) {
    Surface surface = example();
    surface.settings[key] = value;
    write_surface(folder / "s.h5", surface);
    CHECK_THROWS_AS(read_surface(folder / "s.h5"), Error);
  }
}

TEST_CASE("a surface of tomgoldstein/loss-landscape is read, its -1 as not evaluated") {
  const TemporaryFolder folder;
  Hdf5Writer writer;
  const std::vector<double> x{-1, 0, 1}, y{0, 1}, z{3, -1, 2, 1, 0, 4};
  writer.write<double>("/xcoordinates", x, {3});
  writer.write<double>("/ycoordinates", y, {2});
  writer.write<double>("/train_loss", z, {2, 3});
  writer.save(folder / "li.h5");
  const Surface surface = read_surface(folder / "li.h5");
  CHECK(surface.evaluated() == 5);
  CHECK((surface.state[1] == PointState::missing));
  CHECK(std::isnan(surface.loss()[1]));
  CHECK(surface.loss()[4] == 0);
}

TEST_CASE("a surface of a newer format is refused") {
  const TemporaryFolder folder;
  Hdf5Writer writer;
  const std::vector<double> one{0};
  const std::vector<std::int64_t> format{kFileFormat + 1};
  for (const char* name : {"/xcoordinates", "/ycoordinates"}) writer.write<double>(name, one, {1});
  writer.write<double>("/train_loss", one, {1, 1});
  writer.make_group("/lossatlas");
  writer.attribute<std::int64_t>("/lossatlas", "format", format);
  writer.save(folder / "new.h5");
  CHECK_THROWS_WITH(read_surface(folder / "new.h5"), ContainsSubstring("use a newer Lossatlas"));
}

TEST_CASE("a surface whose settings or states make no sense is refused") {
  const TemporaryFolder folder;
  Surface surface = example();
  surface.settings = {1, 2};
  write_surface(folder / "settings.h5", surface);
  CHECK_THROWS_WITH(read_surface(folder / "settings.h5"), ContainsSubstring("@settings is not a JSON object"));
  surface = example();
  surface.state[2] = static_cast<PointState>(7);
  write_surface(folder / "state.h5", surface);
  CHECK_THROWS_WITH(read_surface(folder / "state.h5"), ContainsSubstring("holds 7, which is not a state of a point"));
}

TEST_CASE("long axes do not take memory for a surface that is not there") {
  const TemporaryFolder folder;
  Hdf5Writer writer;
  const std::vector<double> axis(1'000'000), z{0};
  for (const char* name : {"/xcoordinates", "/ycoordinates"}) writer.write<double>(name, axis, {axis.size()});
  writer.write<double>("/train_loss", z, {1, 1});
  writer.save(folder / "long.h5");
  CHECK_THROWS_WITH(read_surface(folder / "long.h5"), ContainsSubstring("the coordinates ask for [1000000, 1000000]"));
}

TEST_CASE("what is no surface is refused with what it holds") {
  const TemporaryFolder folder;
  Hdf5Writer writer;
  writer.write_text("/words", "x");
  writer.save(folder / "other.h5");
  CHECK_THROWS_WITH(read_surface(folder / "other.h5"), ContainsSubstring("words"));
}

TEST_CASE("a line has no y, its fan stands under lines, and test values beside those of training") {
  const TemporaryFolder folder;
  Surface fan({{-1, 1, 3}}, measures_with(Split::train, {"test_loss", "test_acc"}), FanLines{2});
  fan.settings = {{"repeat", 2}};
  fan.samples[0].indices = {1, 2};
  fan.samples[1].indices = {3};
  fan.set(1, {1, 0.25, 50, 2, 10, {}, {{2, 0.1, 40, 1, 5}}});
  fan.set(3 + 1, {4, 0.75, 70, 4, 10, {}, {{6, 0.3, 60, 1, 5}}});
  write_surface(folder / "l.h5", fan);
  const Hdf5Reader reader(folder / "l.h5");
  CHECK(reader.text_attribute("/lossatlas", "kind") == "line");
  for (const char* absent : {"/ycoordinates", "/y", "/VTKHDF", "/lossatlas/repeats"}) CHECK_FALSE(reader.has(absent));
  for (const char* name : {"/train_loss", "/train_acc", "/test_loss", "/test_acc", "/lossatlas/evaluated",
                           "/lossatlas/test_loss_spread"}) {
    CHECK(reader.shape(name) == Shape{3});
  }
  CHECK(reader.shape("/lossatlas/lines/test_acc") == Shape{2, 3});
  CHECK(reader.read<double>("/test_loss")[1] == 4);
  CHECK(reader.read<double>("/lossatlas/test_loss_spread")[1] == Approx(4 / std::sqrt(2.0)));
  CHECK(reader.read<std::int64_t>("/lossatlas/test_images") == std::vector<std::int64_t>{0, 5, 0});
  const Surface read = read_surface(folder / "l.h5");
  CHECK(kind_of(read) == "line");
  CHECK(std::get<FanLines>(read.form).count == 2);
  CHECK((read.state == fan.state));
  CHECK(read.samples[1].indices == fan.samples[1].indices);
  CHECK(read.values_of("test_acc")[4] == 60);
  CHECK(read.samples[1].counts[4] == 5);
}

TEST_CASE("marked checkpoints are read back") {
  const TemporaryFolder folder;
  Surface surface = example();
  surface.points = {{"a", {0, 0}, 0, {{"test_loss", 1.5}, {"test_acc", 80}}}, {"run/b é", {1, -0.25}, 0.5}};
  surface.unit = 3.25;
  write_surface(folder / "s.h5", surface);
  const Surface read = read_surface(folder / "s.h5");
  REQUIRE(read.points.size() == 2);
  CHECK(read.points[1].name == "run/b é");
  CHECK(read.points[1].coordinates == std::vector<double>{1, -0.25});
  CHECK(read.points[1].distance == 0.5);
  CHECK(read.points[0].value("test_loss") == 1.5);
  CHECK(read.points[0].value("test_acc") == 80);
  CHECK(std::isnan(read.points[1].value("test_loss")));
  CHECK(read.unit == 3.25);
  CHECK(Hdf5Reader(folder / "s.h5").shape("/lossatlas/points/test_loss") == Shape{2});
}

TEST_CASE("a line of tomgoldstein/loss-landscape is read") {
  const TemporaryFolder folder;
  Hdf5Writer writer;
  const std::vector<double> x{-1, 0, 1}, z{3, -1, 2};
  writer.write<double>("/xcoordinates", x, {3});
  writer.write<double>("/train_loss", z, {3});
  writer.write<double>("/train_acc", z, {3});
  writer.save(folder / "li.h5");
  const Surface line = read_surface(folder / "li.h5");
  CHECK(kind_of(line) == "line");
  CHECK(line.evaluated() == 2);
  CHECK(line.loss()[2] == 2);
}

TEST_CASE("a surface of three axes is an image of three dimensions, its values by name and unit") {
  const TemporaryFolder folder;
  Surface surface({{-1, 1, 3}, {0, 1, 2}, {-2, 2, 5}}, measures_with(Split::train, {"train_acc_top5", "l2"}));
  for (std::size_t i = 0; i < surface.size(); ++i) {
    surface.set(i, {static_cast<double>(i), 0.5, 50, 1, 10, {{"top5", 90}, {"l2", 0.25}}});
  }
  write_surface(folder / "s.h5", surface);
  const Hdf5Reader reader(folder / "s.h5");
  CHECK(reader.integer_attribute("/lossatlas", "format") == 2);
  CHECK(reader.shape("/train_loss") == Shape{5, 2, 3});
  CHECK(reader.shape("/zcoordinates") == Shape{5});
  CHECK(reader.read<double>("/VTKHDF/PointData/train_loss").back() == 29);
  using nlohmann::json;
  const auto axes = json::parse(reader.text_attribute("/lossatlas", "axes"));
  CHECK(axes[2] == json({{"name", "z"},
                         {"coordinates", "/zcoordinates"},
                         {"points", 5},
                         {"low", -2.0},
                         {"high", 2.0},
                         {"unit", "multiples of direction 3"}}));
  const auto measures = json::parse(reader.text_attribute("/lossatlas", "measures"));
  CHECK(measures[0] == json({{"name", "train_loss"},
                             {"measure", "loss"},
                             {"split", "train"},
                             {"unit", "nats"},
                             {"mean_of", "images"},
                             {"dataset", "/train_loss"},
                             {"standard_error", "/lossatlas/train_loss_se"}}));
  CHECK(measures[2] == json({{"name", "train_acc_top5"},
                             {"measure", "top5"},
                             {"split", "train"},
                             {"unit", "percent"},
                             {"mean_of", "images"},
                             {"dataset", "/lossatlas/train_acc_top5"}}));
  CHECK(measures[3] == json({{"name", "l2"},
                             {"measure", "l2"},
                             {"split", nullptr},
                             {"unit", ""},
                             {"mean_of", nullptr},
                             {"dataset", "/lossatlas/l2"}}));
  const Surface read = read_surface(folder / "s.h5");
  CHECK(read.grid.dimensions() == 3);
  CHECK(read.loss() == surface.loss());
  CHECK(read.measures() == surface.measures());
}

TEST_CASE("a fifth axis has a name of its number") {
  const TemporaryFolder folder;
  write_surface(folder / "s.h5", surface_over({{-1, 1, 2}, {-1, 1, 2}, {-1, 1, 2}, {-1, 1, 2}, {0, 1, 3}},
                                              [](const std::vector<double>& at) { return at[4]; }));
  const Surface read = read_surface(folder / "s.h5");
  CHECK(read.grid.axes[4].name == "axis5");
  CHECK(read.loss().back() == 1);
  CHECK(Hdf5Reader(folder / "s.h5").shape("/axis5coordinates") == Shape{3});
  CHECK_FALSE(Hdf5Reader(folder / "s.h5").has("/VTKHDF"));
}

TEST_CASE("measures that make no sense are refused") {
  const TemporaryFolder folder;
  const auto measures = measures_json(surface_of({0, 0, 1}, {0, 0, 1}, [](double, double) { return 1.0; }));
  auto no_split = measures, no_error = measures, other_split = measures;
  no_split[0]["split"] = nullptr;
  no_error[0].erase("standard_error");
  other_split[1]["split"] = "test";  // whose loss there is not
  for (const std::string& text : std::vector<std::string>{"7", "[]", "[{\"name\": 1}]", "{", no_split.dump(),
                                                          no_error.dump(), other_split.dump()}) {
    Hdf5Writer writer;
    const std::vector<double> one{0};
    for (const char* name : {"/xcoordinates", "/ycoordinates"}) writer.write<double>(name, one, {1});
    writer.write<double>("/train_loss", one, {1, 1});
    writer.make_group("/lossatlas");
    writer.attribute("/lossatlas", "settings", "{}");
    writer.attribute("/lossatlas", "measures", text);
    writer.save(folder / "s.h5");
    CHECK_THROWS_WITH(read_surface(folder / "s.h5"), ContainsSubstring("is not a list of measures"));
  }
}
