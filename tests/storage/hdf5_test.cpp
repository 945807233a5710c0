#include "storage/hdf5.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/error.h"
#include "catch.h"
#include "temporary_folder.h"

using namespace lossatlas;

namespace {

std::string bytes_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void save_example(const std::filesystem::path& file) {
  Hdf5Writer writer;
  const std::vector<double> z{1, 2, 3, 4, 5, 6}, x{0, 0.5, 1};
  writer.write<double>("/group/z", z, {2, 3});
  writer.write<double>("/x", x, {3});
  writer.attach_scale("/group/z", 1, "/x");
  writer.write_text("/name", "häuser");
  writer.make_group("/about");
  writer.attribute("/about", "text", "words");
  writer.ascii_attribute("/about", "Type", "ImageData");
  const std::vector<std::int64_t> three{3};
  writer.attribute<std::int64_t>("/about", "format", three);
  writer.hard_link("/group/z", "/about/same");
  writer.save(file);
}

}  // namespace

TEST_CASE("what is written to HDF5 is read back") {
  const TemporaryFolder folder;
  const auto file = folder / "a.h5";
  save_example(file);
  const Hdf5Reader reader(file);
  CHECK(reader.shape("/group/z") == Shape{2, 3});
  CHECK(reader.read<double>("/group/z") == std::vector<double>{1, 2, 3, 4, 5, 6});
  CHECK(reader.read<float>("/about/same") == std::vector<float>{1, 2, 3, 4, 5, 6});
  CHECK(reader.read_text("/name") == "häuser");
  CHECK(reader.text_attribute("/about", "text") == "words");
  CHECK(reader.text_attribute("/about", "Type") == "ImageData");
  CHECK(reader.integer_attribute("/about", "format") == 3);
  CHECK(reader.members("/") == std::vector<std::string>{"about", "group", "name", "x"});
  CHECK(reader.has("/group/z"));
  CHECK_FALSE(reader.has("/group/none"));
  CHECK_FALSE(reader.has("/none/z"));
  CHECK(reader.is_dataset("/x"));
  CHECK_FALSE(reader.is_dataset("/group"));
  CHECK_THROWS_AS(reader.read<double>("/name"), Error);
  CHECK_THROWS_AS(reader.read<double>("/none"), Error);
}

TEST_CASE("equal contents give equal bytes") {
  const TemporaryFolder folder;
  save_example(folder / "a.h5");
  save_example(folder / "b.h5");
  CHECK(bytes_of(folder / "a.h5") == bytes_of(folder / "b.h5"));
}

TEST_CASE("what is not an HDF5 file is refused with a line that names it") {
  const TemporaryFolder folder;
  std::ofstream(folder / "text.h5") << "not a surface";
  CHECK_THROWS_WITH(Hdf5Reader(folder / "text.h5"), ContainsSubstring("text.h5: not an HDF5 file"));
  CHECK_THROWS_WITH(Hdf5Reader(folder / "none.h5"), ContainsSubstring("no such file"));
  CHECK_THROWS_WITH(Hdf5Reader(folder.path()), ContainsSubstring("a folder"));
  save_example(folder / "cut.h5");
  std::filesystem::resize_file(folder / "cut.h5", 700);
  CHECK_THROWS_WITH(Hdf5Reader(folder / "cut.h5"), ContainsSubstring("damaged"));
}

TEST_CASE("a failed save leaves the old file as it was") {
  const TemporaryFolder folder;
  CHECK_THROWS_WITH(save_example(folder / "none" / "a.h5"), ContainsSubstring("cannot be created"));
  std::filesystem::create_directory(folder / "taken.h5");
  std::ofstream(folder / "taken.h5" / "inside") << "x";
  CHECK_THROWS_WITH(save_example(folder / "taken.h5"), ContainsSubstring("cannot be replaced"));
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}
