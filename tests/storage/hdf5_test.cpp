#include "storage/hdf5.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
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

TEST_CASE("what HDF5 objects hold is told before it is read") {
  const TemporaryFolder folder;
  save_example(folder / "a.h5");
  const Hdf5Reader reader(folder / "a.h5");
  CHECK(reader.stored("/x") == Stored::float64);
  CHECK(reader.stored("/name") == Stored::text);
  CHECK(reader.stored("/about", "format") == Stored::int64);
  CHECK(reader.stored("/about", "text") == Stored::text);
  CHECK(reader.attributes("/about") == std::vector<std::string>{"Type", "format", "text"});
  CHECK(reader.shape("/about", "format").empty());
  CHECK(reader.number_attribute("/about", "format") == 3.0);
  CHECK(reader.read_texts("/name") == std::vector<std::string>{"häuser"});
  CHECK_THROWS_WITH(reader.read_texts("/x"), ContainsSubstring("not text"));
  CHECK(reader.is_group("/about"));
  CHECK_FALSE(reader.is_group("/x"));
  CHECK_FALSE(reader.is_group("/none"));
}

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

TEST_CASE("sizes that the file cannot hold are refused before memory is taken") {
  const TemporaryFolder folder;
  Hdf5Writer writer;
  writer.write<double>("/x", std::vector<double>(777), {777});
  writer.save(folder / "whole.h5");
  std::string bytes = bytes_of(folder / "whole.h5");
  const std::string length("\x09\x03\0\0\0\0\0\0", 8), absurd("\0\0\0\0\0\x01\0\0", 8);
  std::size_t found = 0;
  for (std::size_t at = bytes.find(length); at != std::string::npos; at = bytes.find(length, at), ++found) {
    bytes.replace(at, length.size(), absurd);
  }
  REQUIRE(found > 0);
  std::ofstream(folder / "absurd.h5", std::ios::binary) << bytes;
  CHECK(Hdf5Reader(folder / "whole.h5").read<double>("/x").size() == 777);
  CHECK_THROWS_WITH(Hdf5Reader(folder / "absurd.h5").read<double>("/x"), ContainsSubstring("more than the file holds"));
}

TEST_CASE("texts that the library would read without end are refused") {
  const TemporaryFolder folder;
  save_example(folder / "whole.h5");
  const std::string whole = bytes_of(folder / "whole.h5");
  const std::size_t heap = whole.find("GCOL");
  REQUIRE(heap != std::string::npos);
  for (const std::size_t size_of_first : {0, 1'000'000}) {
    std::string bytes = whole;
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(heap) + 16, 16, '\0');
    std::memcpy(bytes.data() + heap + 24, &size_of_first, sizeof size_of_first);
    std::ofstream(folder / "loop.h5", std::ios::binary) << bytes;
    CHECK_THROWS_WITH(Hdf5Reader(folder / "loop.h5"), ContainsSubstring("loop.h5: damaged, its texts cannot be read"));
  }
}

TEST_CASE("several values are not read where one belongs") {
  const TemporaryFolder folder;
  Hdf5Writer writer;
  const std::vector<std::int64_t> two{1, 2};
  writer.attribute<std::int64_t>("/", "two", two);
  writer.save(folder / "two.h5");
  CHECK_THROWS_WITH(Hdf5Reader(folder / "two.h5").integer_attribute("/", "two"),
                    ContainsSubstring("two.h5: /@two: not a single value"));
}

TEST_CASE("a failed save leaves the old file as it was") {
  const TemporaryFolder folder;
  CHECK_THROWS_WITH(save_example(folder / "none" / "a.h5"), ContainsSubstring("cannot be created"));
  std::filesystem::create_directory(folder / "taken.h5");
  std::ofstream(folder / "taken.h5" / "inside") << "x";
  CHECK_THROWS_WITH(save_example(folder / "taken.h5"), ContainsSubstring("a folder, not a file"));
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("a list of texts and a number as an attribute are read back") {
  const TemporaryFolder folder;
  const std::vector<std::string> texts{"epoch-0003", "", "sgd/é"};
  const std::vector<double> unit{3.25};
  Hdf5Writer writer;
  writer.write_texts("/points/name", texts);
  writer.attribute<double>("/points", "unit", unit);
  writer.write_text("/single", "one");
  writer.write<double>("/number", unit, {1});
  writer.save(folder / "f.h5");
  const Hdf5Reader reader(folder / "f.h5");
  CHECK(reader.read_texts("/points/name") == texts);
  CHECK(reader.number_attribute("/points", "unit") == 3.25);
  CHECK(reader.read_texts("/single") == std::vector<std::string>{"one"});
  CHECK_THROWS_WITH(reader.read_texts("/number"), ContainsSubstring("not text"));
}
