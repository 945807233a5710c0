#include "data/array_file.h"

#include <fstream>
#include <iterator>

#include "base/error.h"
#include "catch.h"
#include "data/array_visit.h"
#include "data/data_set.h"
#include "data/hdf5_arrays.h"
#include "data/npz.h"
#include "temporary_folder.h"

using namespace lossatlas;

namespace {

const std::filesystem::path kFiles = std::filesystem::path(LOSSATLAS_TEST_FILES) / "data";

const ArrayFile::Entry& entry_of(const ArrayFile& file, const std::string& name) {
  for (const auto& entry : file.entries()) {
    if (entry.name == name) return entry;
  }
  throw Error("no such entry: {}", name);
}

std::string refusal(const ArrayFile& file, const std::string& name) {
  try {
    file.read(entry_of(file, name));
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

/// 0, 1, 2, …, of bool 0, 1, 0, …, as tools/reference/data.py wrote them.
void check_ramp(const ArrayFile& file, const ArrayFile::Entry& entry) {
  INFO(file.file().filename().string() << ": " << entry.name);
  const Array array = file.read(entry);
  CHECK(array.shape() == std::vector<std::int64_t>{2, 3, 4});
  const bool is_wide = entry.type == "uint32" || entry.type == "uint64";
  CHECK(name_of(array.type()) == (is_wide ? "int64" : entry.type));
  CHECK(reinterpret_cast<std::uintptr_t>(array.bytes().data()) % bytes_of(array.type()) == 0);
  std::vector<double> found, wanted;
  visit(array, [&](auto numbers) { found.assign(numbers.begin(), numbers.end()); });
  for (int i = 0; i < 24; ++i) wanted.push_back(array.type() == NumberType::boolean ? i % 2 : i);
  CHECK(found == wanted);
}

}  // namespace

TEST_CASE("arrays of NumPy are read whatever their type, order and packing") {
  for (const char* name : {"numbers.npz", "deflated.npz", "versions.npz"}) {
    const NpzFile file(kFiles / name);
    CHECK(file.entries().size() == (std::string(name) == "versions.npz" ? 3 : 48));
    for (const auto& entry : file.entries()) check_ramp(file, entry);
  }
}

TEST_CASE("datasets of h5py are read whatever their type, order and packing") {
  const Hdf5Arrays file(kFiles / "numbers.h5");
  std::size_t read = 0;
  for (const auto& entry : file.entries()) {
    if (entry.name.find("_C") == std::string::npos) continue;
    check_ramp(file, entry);
    ++read;
  }
  CHECK(read == 48);
  CHECK_THAT(refusal(file, "text"), ContainsSubstring("numbers.h5: text: holds text"));
  CHECK_THAT(refusal(file, "complex"), ContainsSubstring("numbers.h5: complex: holds another type"));
  CHECK_THAT(refusal(file, "large"), ContainsSubstring("9223372036854775808, which does not fit in int64"));
}

TEST_CASE("arrays that are no numbers are refused by name, and objects never run") {
  const NpzFile file(kFiles / "refused.npz");
  CHECK_THAT(refusal(file, "object"),
             ContainsSubstring("refused.npz: object: holds Python objects, which are never run"));
  CHECK_THAT(refusal(file, "text"), ContainsSubstring("holds text"));
  CHECK_THAT(refusal(file, "bytes"), ContainsSubstring("holds text"));
  CHECK_THAT(refusal(file, "complex"), ContainsSubstring("holds complex"));
  CHECK_THAT(refusal(file, "date"), ContainsSubstring("holds datetime64"));
  CHECK_THAT(refusal(file, "records"), ContainsSubstring("holds structured"));
  CHECK_THAT(refusal(file, "large"), ContainsSubstring("9223372036854775808, which does not fit in int64"));
  CHECK(entry_of(file, "object").type == "object");
}

TEST_CASE("damaged .npz files are refused in one line") {
  const TemporaryFolder folder;
  std::ifstream in(kFiles / "numbers.npz", std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  const auto refusal_of = [&](std::string bytes) {
    std::ofstream(folder / "a.npz", std::ios::binary) << bytes;
    try {
      const NpzFile file(folder / "a.npz");
      return refusal(file, "f4_little_C");
    } catch (const Error& error) {
      return std::string(error.what());
    }
  };
  CHECK(refusal_of(whole).empty());
  CHECK_THAT(refusal_of(""), ContainsSubstring("a.npz: is not an .npz file"));
  CHECK_THAT(refusal_of(whole.substr(0, whole.size() / 2)), ContainsSubstring("a.npz: has no directory"));
  std::string changed = whole;
  const std::size_t at = whole.find("f4_little_C.npy");
  changed[whole.find('\n', at) + 5] ^= 1;  // a bit of a number
  CHECK_THAT(refusal_of(changed), ContainsSubstring("a.npz: f4_little_C: does not have its CRC-32"));
  changed = whole;
  changed.replace(whole.find("(2, 3, 4)", at), 9, "(2, 3, 9)");
  CHECK_THAT(refusal_of(changed), ContainsSubstring("announces 216 bytes of numbers and holds 96"));
}

TEST_CASE("a member that cannot be as large as it says takes no memory") {
  const TemporaryFolder folder;
  std::ifstream in(kFiles / "deflated.npz", std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  const std::size_t entry = bytes.rfind("f4_little_C.npy") - 46;  // in the directory
  bytes.replace(entry + 24, 4, "\xF0\xFF\xFF\xFF");
  std::ofstream(folder / "a.npz", std::ios::binary) << bytes;
  CHECK(refusal(NpzFile(folder / "a.npz"), "f4_little_C") ==
        (folder / "a.npz").string() + ": f4_little_C: announces more bytes than it can unpack to");
}

namespace {

/// Arrays in memory, under any names.
class Arrays : public ArrayFile {
 public:
  explicit Arrays(std::vector<std::pair<std::string, Array>> arrays)
      : ArrayFile("some.npz"), arrays_(std::move(arrays)) {
    for (const auto& [name, array] : arrays_) {
      entries_.push_back({name, std::string(name_of(array.type())), array.shape()});
    }
  }
  Array read(const Entry& entry) const override {
    return arrays_[static_cast<std::size_t>(&entry - entries_.data())].second;
  }

 private:
  std::vector<std::pair<std::string, Array>> arrays_;
};

/// `rows` rows of one number, all the same.
Array column(std::int64_t rows, int number) {
  return {{rows}, std::vector<std::int64_t>(static_cast<std::size_t>(rows), number)};
}

template <class Use>
std::string line_of(const Use& use) {
  try {
    use();
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace

TEST_CASE("arrays are found by the names that are in use") {
  const auto names =
      GENERATE(values<std::array<const char*, 4>>({{"train_inputs", "train_targets", "test_inputs", "test_targets"},
                                                   {"x_train", "y_train", "x_test", "y_test"},
                                                   {"X_train", "y_train", "X_test", "y_test"},
                                                   {"train_images", "train_labels", "test_images", "test_labels"},
                                                   {"train_images", "train_labels", "val_images", "val_labels"},
                                                   {"train_data", "train_labels", "test_data", "test_labels"},
                                                   {"inputs", "targets", "val_inputs", "val_targets"}}));
  const Arrays file(
      {{names[1], column(3, 1)}, {names[3], column(2, 3)}, {names[0], column(3, 0)}, {names[2], column(2, 2)}});
  const ArrayData train = split_of(file, Split::train), test = split_of(file, Split::test);
  CHECK(train.inputs.at(0).numbers<std::int64_t>()[0] == 0);
  CHECK(train.targets->numbers<std::int64_t>()[0] == 1);
  CHECK(test.inputs.at(0).numbers<std::int64_t>()[0] == 2);
  CHECK(test.targets->numbers<std::int64_t>()[0] == 3);
  CHECK(has_test_arrays(file));
}

TEST_CASE("arrays without a split are training data") {
  const auto names = GENERATE(values<std::array<const char*, 2>>(
      {{"inputs", "targets"}, {"X", "y"}, {"x", "y"}, {"images", "labels"}, {"data", "labels"}, {"arr_0", "arr_1"}}));
  const Arrays file({{names[0], column(3, 0)}, {names[1], column(3, 1)}});
  CHECK(split_of(file, Split::train).targets->numbers<std::int64_t>()[0] == 1);
  CHECK_FALSE(has_test_arrays(file));
  CHECK_THAT(line_of([&] { split_of(file, Split::test); }), ContainsSubstring("some.npz: has no test split"));
}

TEST_CASE("the test split is preferred to the validation split") {
  const Arrays file({{"train_images", column(3, 0)}, {"val_images", column(2, 1)}, {"test_images", column(2, 2)}});
  CHECK(split_of(file, Split::test).inputs.at(0).numbers<std::int64_t>()[0] == 2);
  CHECK_FALSE(split_of(file, Split::test).targets);
}

TEST_CASE("inputs may be several") {
  const Arrays file({{"train_inputs_1", column(3, 1)},
                     {"train_inputs_0", column(3, 0)},
                     {"train_targets", column(3, 2)},
                     {"train_inputs_3", column(9, 3)}});
  const ArrayData data = split_of(file, Split::train);
  REQUIRE(data.inputs.size() == 2);
  CHECK(data.inputs[1].numbers<std::int64_t>()[0] == 1);
  CHECK_THAT(line_of([&] { labelled_images(file, Split::train); }), ContainsSubstring("holds 2 inputs"));
}

TEST_CASE("arrays that do not go together are refused by name") {
  const auto of = [](std::vector<std::pair<std::string, Array>> arrays) {
    const Arrays file(std::move(arrays));
    return line_of([&] { split_of(file, Split::train); });
  };
  CHECK(of({{"inputs", column(3, 0)}, {"targets", column(2, 0)}}) == "some.npz: inputs has 3 rows, targets has 2");
  CHECK(of({{"inputs_0", column(3, 0)}, {"inputs_1", column(2, 0)}}) ==
        "some.npz: inputs_0 has 3 rows, inputs_1 has 2");
  CHECK(of({{"inputs", column(0, 0)}}) == "some.npz: inputs has no rows");
  CHECK(
      of({{"foo", column(3, 0)}, {"arr_0", column(2, 0)}}) ==
      "some.npz: requires arrays named train_inputs and train_targets, or inputs and targets; it holds foo int64 [3], "
      "arr_0 int64 [2]");
  CHECK(of({{"inputs", Array({3, 2}, std::vector<float>{0, 1, 2, 3, NAN, 5})}}) ==
        "some.npz: inputs[2] holds nan; inputs must be finite float32");
  CHECK(of({{"inputs", Array({2}, std::vector<double>{0, -INFINITY})}}) ==
        "some.npz: inputs[1] holds -inf; inputs must be finite float64");
  CHECK(of({{"inputs", column(1, 0)}, {"targets", Array({1}, std::vector<float>{NAN})}}).empty());
}

TEST_CASE("images may have their channels first or last, or none") {
  std::vector<std::uint8_t> pixels;
  for (int i = 0; i < 2 * 3 * 4 * 5; ++i) pixels.push_back(static_cast<std::uint8_t>(i));
  const auto images = [&](std::vector<std::int64_t> shape) {
    return labelled_images(Arrays({{"x", Array(std::move(shape), pixels)}, {"y", column(2, 6)}}), Split::train);
  };
  using Shape = std::array<std::int64_t, 3>;
  CHECK(images({2, 12, 5}).shape == Shape{1, 12, 5});
  CHECK(images({2, 3, 4, 5}).shape == Shape{3, 4, 5});
  CHECK(images({2, 4, 5, 3}).shape == Shape{4, 5, 3});  // either: the channels come first
  const DataSet last = images({2, 5, 4, 3});
  CHECK(last.shape == Shape{3, 5, 4});
  const auto moved = last.pixels.numbers<std::uint8_t>();
  CHECK(moved[0] == 0);
  CHECK(moved[1] == 3);                 // the next column
  CHECK(moved[4] == 12);                // the next row
  CHECK(moved[20] == 1);                // the next channel
  CHECK(moved[60 + 2 * 20 + 7] == 83);  // 60 + (1 · 4 + 3) · 3 + 2
  CHECK(last.classes == 7);
  CHECK(last.normalization.mean == std::vector<double>{0, 0, 0});
  CHECK(last.normalization.deviation == std::vector<double>{1, 1, 1});
  CHECK_THROWS_WITH(images({2, 2, 5, 6}), ContainsSubstring("some.npz: x has shape [2, 2, 5, 6], not [N, H, W]"));
  CHECK_THROWS_WITH(images({2, 60}), ContainsSubstring("`problem` takes arrays of any shape"));
}

TEST_CASE("images of floats become float32") {
  const DataSet data = labelled_images(
      Arrays({{"x", Array({1, 1, 3}, std::vector<double>{0.1, -2, 1e-50})}, {"y", column(1, 0)}}), Split::train);
  CHECK(data.pixels.numbers<float>()[0] == 0.1F);
  CHECK_THROWS_WITH(
      labelled_images(Arrays({{"x", Array({1, 1, 1}, std::vector<double>{1e300})}, {"y", column(1, 0)}}), Split::train),
      ContainsSubstring("x[0] holds inf; inputs must be finite float32"));
  const std::vector<std::uint16_t> halves{0x3C00, 0xC000, 0x3555, 0x0001, 0x7BFF};  // IEEE 754: 1, -2, about 1/3, …
  const auto stored = std::make_shared<std::vector<std::uint16_t>>(halves);
  const Array half(NumberType::float16, {1, 1, 5}, std::shared_ptr<const void>(stored, stored->data()));
  const DataSet wide = labelled_images(Arrays({{"x", half}, {"y", column(1, 0)}}), Split::train);
  const auto values = wide.pixels.numbers<float>();
  CHECK(std::vector<float>(values.begin(), values.end()) ==
        std::vector<float>{1, -2, 0.333251953125F, 0x1p-24F, 65504});
}

TEST_CASE("class labels are whole numbers from 0, of both splits") {
  const Array two({2, 1, 1}, std::vector<std::uint8_t>{1, 2});
  const auto with = [&](const Array& labels) {
    return labelled_images(Arrays({{"x_train", two}, {"y_train", labels}, {"x_test", two}, {"y_test", column(2, 8)}}),
                           Split::train);
  };
  CHECK(with(Array({2, 1}, std::vector<float>{3, 4})).labels == std::vector<std::int64_t>{3, 4});
  CHECK(with(column(2, 5)).classes == 9);
  CHECK_THROWS_WITH(with(Array({2}, std::vector<std::int32_t>{0, -1})),
                    ContainsSubstring("y_train[1] is -1; class labels"));
  CHECK_THROWS_WITH(with(Array({2}, std::vector<float>{0.5, 1})), ContainsSubstring("y_train[0] is 0.5; class labels"));
  CHECK_THROWS_WITH(with(Array({2}, std::vector<float>{0, NAN})), ContainsSubstring("y_train[1] is nan; class labels"));
  CHECK_THROWS_WITH(with(column(2, 2'000'000)), ContainsSubstring("y_train[0] is 2000000; class labels are below"));
  CHECK_THROWS_WITH(with(Array({2, 2}, std::vector<float>{0, 1, 1, 0})), ContainsSubstring("y_train has shape [2, 2]"));
  CHECK_THROWS_WITH(labelled_images(Arrays({{"x", two}}), Split::train), ContainsSubstring("holds x without targets"));
}

TEST_CASE("tokens are blocks and the blocks after them") {
  const TemporaryFolder folder;
  const auto write = [&](const char* name, const std::vector<std::uint16_t>& ids, std::size_t cut = 0) {
    std::ofstream(folder / name, std::ios::binary)
        .write(reinterpret_cast<const char*>(ids.data()), static_cast<std::streamsize>(2 * ids.size() - cut));
    return "tokens:" + (folder / name).string();
  };
  using Ids = std::vector<std::int64_t>;
  const auto ids_of = [](const Array& array) {
    const auto numbers = array.numbers<std::uint16_t>();
    return Ids(numbers.begin(), numbers.end());
  };
  const std::string words = write("train.bin", {5, 6, 7, 8, 50256, 65535, 9, 10});
  const ArrayData data = load_arrays(words + ":3", Split::train);
  CHECK(data.name == words + ":3");
  CHECK(data.inputs.at(0).shape() == Ids{2, 3});
  CHECK(ids_of(data.inputs[0]) == Ids{5, 6, 7, 8, 50256, 65535});
  CHECK(ids_of(*data.targets) == Ids{6, 7, 8, 50256, 65535, 9});
  CHECK(load_arrays(words, Split::train, {.block = 7}).inputs[0].shape() == Ids{1, 7});
  CHECK(is_arrays(words));
  CHECK_FALSE(has_test_split(words));

  const std::string both = "tokens:" + folder.path().string();
  CHECK_FALSE(has_test_split(both));
  write("val.bin", {1, 2, 3});
  CHECK(has_test_split(both + ":2"));
  CHECK(ids_of(*load_arrays(both + ":2", Split::test).targets) == Ids{2, 3});
  CHECK(data_files(both + ":2").size() == 2);

  CHECK_THROWS_AS(load_arrays(words, Split::train), UsageError);
  CHECK_THROWS_WITH(load_arrays(words, Split::train),
                    ContainsSubstring("requires the block length, as in " + words + ":1024"));
  CHECK_THROWS_AS(load_arrays(words + ":ten", Split::train), UsageError);
  CHECK_THROWS_WITH(load_data(words, Split::train), ContainsSubstring("has no class labels; it requires `problem`"));
  CHECK_THROWS_WITH(load_arrays(words + ":8", Split::train),
                    ContainsSubstring("train.bin: holds 8 ids, fewer than the 8"));
  CHECK_THROWS_WITH(load_arrays(write("odd.bin", {1, 2}, 1) + ":1", Split::train),
                    ContainsSubstring("odd.bin: holds 3 bytes, not a whole number of uint16 ids"));
  CHECK_THROWS_WITH(load_arrays(words + ":3", Split::train, {.vocabulary = 50257}),
                    ContainsSubstring("train.bin: id 65535 at position 5 of its inputs (sample 1) is not one of the "
                                      "vocabulary's 0 to 50256"));
  CHECK_NOTHROW(check_ids(data, 65536));
  CHECK_THROWS_WITH(load_arrays("tokens:/nowhere:3", Split::train), ContainsSubstring("/nowhere: cannot be opened"));
}

TEST_CASE("llm.c's files say how wide their ids are") {
  const TemporaryFolder folder;
  const auto write = [&](std::int32_t magic, std::int32_t version, std::int32_t count, const std::string& ids) {
    std::vector<std::int32_t> head(256);
    head[0] = magic, head[1] = version, head[2] = count;
    std::ofstream out(folder / "a.bin", std::ios::binary);
    out.write(reinterpret_cast<const char*>(head.data()), 1024) << ids;
  };
  const auto words = "tokens:" + (folder / "a.bin").string() + ":2";
  write(20240520, 1, 3, std::string("\1\0\2\0\3\1", 6));
  CHECK(load_arrays(words, Split::train).targets->numbers<std::uint16_t>()[1] == 259);
  write(20240801, 7, 3, std::string("\1\0\0\0\2\0\0\0\3\0\1\0", 12));
  CHECK(load_arrays(words, Split::train).targets->numbers<std::uint32_t>()[1] == 65539);
  write(20240801, 7, 4, std::string("\1\0\0\0\2\0\0\0\3\0\1\0", 12));
  CHECK_THROWS_WITH(load_arrays(words, Split::train), ContainsSubstring("a.bin: announces 4 ids and holds 3"));
}
