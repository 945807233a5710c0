#include "export/grid_file.h"

#include <cmath>
#include <fstream>
#include <numeric>

#include "base/error.h"
#include "catch.h"
#include "export/tables.h"
#include "storage/format.h"
#include "temporary_folder.h"

using namespace lossatlas;

namespace {

using Numbers = std::vector<double>;

/// A surface of 3 x 2 points of ours, with two repeats.
void write_ours(const std::filesystem::path& file, std::int64_t format = kFileFormat) {
  Hdf5Writer writer;
  writer.write<double>("/xcoordinates", Numbers{0, 1, 2}, {3});
  writer.write<double>("/ycoordinates", Numbers{0, 1}, {2});
  writer.write<double>("/train_loss", Numbers{1, 2, 3, 4, 5, NAN}, {2, 3});
  writer.write<double>("/lossatlas/l2", Numbers{6, 5, 4, 3, 2, 1}, {2, 3});
  writer.write<double>("/lossatlas/repeats/train_loss", Numbers{1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 7}, {2, 2, 3});
  writer.write<std::uint8_t>("/lossatlas/evaluated", std::vector<std::uint8_t>{1, 1, 1, 1, 2, 0}, {2, 3});
  writer.write<std::uint8_t>("/lossatlas/repeats/evaluated",
                             std::vector<std::uint8_t>{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0}, {2, 2, 3});
  writer.write<std::int64_t>("/lossatlas/samples_train", std::vector<std::int64_t>{1, 2, 3}, {3});
  writer.attribute<std::int64_t>("/lossatlas", "format", std::vector{format});
  writer.save(file);
}

}  // namespace

TEST_CASE("all values over the grid are read, the root's first") {
  const TemporaryFolder folder;
  write_ours(folder / "s.h5");
  const GridFile grid = read_grid_file(folder / "s.h5");
  REQUIRE(grid.fields.size() == 2);
  CHECK(grid.field("").name == "train_loss");
  const Numbers& l2 = grid.field("l2").values;
  CHECK(Numbers(l2.begin(), l2.begin() + 5) == Numbers{6, 5, 4, 3, 2});
  CHECK(std::isnan(l2[5]));  // not evaluated
  CHECK(grid.state == std::vector<std::uint8_t>{1, 1, 1, 1, 2, 0});
  CHECK_THROWS_WITH(grid.field("train_los"), ContainsSubstring("did you mean 'train_loss'"));
}

TEST_CASE("one draw is read by its number") {
  const TemporaryFolder folder;
  write_ours(folder / "s.h5");
  CHECK(read_grid_file(folder / "s.h5", 1).field("").values == Numbers(6, 1));
  const GridFile second = read_grid_file(folder / "s.h5", 2);
  CHECK(second.fields.size() == 1);
  CHECK(second.field("").values[4] == 2);
  CHECK(std::isnan(second.field("").values[5]));
  CHECK_THROWS_AS(read_grid_file(folder / "s.h5", 3), UsageError);
}

TEST_CASE("files of tomgoldstein/loss-landscape are read: -1 is not evaluated, and shapes may be [nx, ny]") {
  const TemporaryFolder folder;
  Hdf5Writer writer;
  writer.write<double>("/xcoordinates", Numbers{0, 1, 2}, {3});
  writer.write<double>("/ycoordinates", Numbers{0, 1}, {2});
  writer.write<double>("/train_loss", Numbers{1, 2, 3, 4, 5, -1}, {3, 2});
  writer.write<double>("/train_acc", Numbers{9, 8, 7, 6, 5, -1}, {3, 2});
  writer.save(folder / "li.h5");
  const GridFile grid = read_grid_file(folder / "li.h5");
  CHECK(grid.state == std::vector<std::uint8_t>{1, 1, 1, 1, 1, 0});
  CHECK(grid.field("").values[2] == 3);
  CHECK(std::isnan(grid.field("train_acc").values[5]));
  CHECK_THROWS_WITH(read_grid_file(folder / "li.h5", 1), ContainsSubstring("only one draw"));
}

TEST_CASE("lines, their coordinates and their straight counterparts are read") {
  const TemporaryFolder folder;
  Hdf5Writer writer;
  writer.write<double>("/xcoordinates", Numbers{0, 1}, {2});
  writer.write<double>("/train_loss", Numbers{1, 2}, {2});
  writer.write<double>("/lossatlas/linear/train_loss", Numbers{3, 4}, {2});
  writer.save(folder / "p.h5");
  const GridFile line = read_grid_file(folder / "p.h5");
  CHECK_FALSE(line.is_plane());
  CHECK(line.state == std::vector<std::uint8_t>{1, 1});
  CHECK(line.field("linear_train_loss").values == Numbers{3, 4});
}

TEST_CASE("files without a grid, of a newer format or with wild coordinates are refused") {
  const TemporaryFolder folder;
  const auto file = folder / "s.h5";
  write_ours(file, kFileFormat + 1);
  CHECK_THROWS_WITH(read_grid_file(file), ContainsSubstring("newer Lossatlas"));
  const auto write = [&](const char* coordinates, const Numbers& values) {
    Hdf5Writer writer;
    writer.write<double>(coordinates, values, {3});
    writer.write<double>("/train_loss", Numbers{0, 1, 2}, {3});
    writer.save(file);
  };
  write("/weights", {0, 1, 2});
  CHECK_THROWS_WITH(read_grid_file(file), ContainsSubstring("no xcoordinates"));
  for (const Numbers& wild : {Numbers{0, 1, 0.5}, Numbers{0, 1, 1}, Numbers{0, NAN, 1}}) {
    write("/xcoordinates", wild);
    CHECK_THROWS_WITH(read_grid_file(file), ContainsSubstring("rise or fall"));
  }
}

TEST_CASE("grids of more axes are read, and slices of them taken at the nearest points") {
  const TemporaryFolder folder;
  Hdf5Writer writer;
  for (const char* name : {"/xcoordinates", "/x"}) writer.write<double>(name, Numbers{0, 1, 2}, {3});
  writer.write<double>("/ycoordinates", Numbers{0, 1}, {2});
  writer.write<double>("/zcoordinates", Numbers{-1, 0, 1, 2}, {4});
  Numbers values(24);
  std::iota(values.begin(), values.end(), 0.0);  // x + 3 y + 6 (z + 1)
  writer.write<double>("/train_loss", values, {4, 2, 3});
  writer.write<std::uint8_t>("/lossatlas/evaluated", std::vector<std::uint8_t>(24, 1), {4, 2, 3});
  writer.attribute<std::int64_t>("/lossatlas", "format", std::vector{kFileFormat});
  writer.save(folder / "v.h5");
  const GridFile whole = read_grid_file(folder / "v.h5");
  REQUIRE(whole.axes.size() == 3);
  CHECK(whole.axes[2].name == "z");
  CHECK(whole.fields.size() == 1);
  CHECK(whole.size() == 24);

  GridFile level = whole;
  CHECK(take_slice(level, {{"z", 0.9}}) == std::vector<std::string>{"no points at z = 0.9: the nearest, 1, are used"});
  CHECK(level.is_plane());
  CHECK(level.fields[0].values == Numbers{12, 13, 14, 15, 16, 17});
  CHECK(level.size() == 6);
  GridFile upright = whole;
  CHECK(take_slice(upright, {{"x", 2}}).empty());
  CHECK(upright.axes[0].name == "y");
  CHECK(upright.fields[0].values == Numbers{2, 5, 8, 11, 14, 17, 20, 23});
  CHECK_THROWS_WITH(take_slice(upright, {{"x", 2}}), ContainsSubstring("no axis x"));
  CHECK_THROWS_WITH(take_slice(upright, {{"z", 2.1}}), ContainsSubstring("from -1 to 2"));

  write_csv(folder / "v.csv", whole);
  std::ifstream table(folder / "v.csv");
  std::string head, line;
  std::getline(table, head);
  CHECK(head == "x,y,z,train_loss,evaluated");
  for (int i = 0; i <= 10; ++i) std::getline(table, line);
  CHECK(line == "1,1,0,10,1");
}
