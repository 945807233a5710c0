#include "data/data_set.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>

#include "base/error.h"
#include "catch.h"
#include "temporary_folder.h"

using namespace lossatlas;

namespace {

std::span<const std::uint8_t> pixels_of(const DataSet& data) { return data.pixels.numbers<std::uint8_t>(); }

}  // namespace

TEST_CASE("a stratified sample is nested, balanced and without repeats") {
  std::vector<std::int64_t> labels;
  for (int i = 0; i < 1000; ++i) labels.push_back(i % 4 == 0 ? 7 : i % 3);
  const auto small = stratified_sample(labels, 100, 5), large = stratified_sample(labels, 500, 5);
  CHECK(std::equal(small.begin(), small.end(), large.begin()));
  CHECK(std::set<std::int64_t>(large.begin(), large.end()).size() == 500);
  CHECK(small != stratified_sample(labels, 100, 6));
  for (const std::int64_t label : {0, 1, 2, 7}) {
    const auto is = [&](std::int64_t i) { return labels[static_cast<std::size_t>(i)] == label; };
    const auto in_all = static_cast<double>(std::count(labels.begin(), labels.end(), label));
    CHECK(std::abs(static_cast<double>(std::count_if(small.begin(), small.end(), is)) - in_all / 10) <= 1);
  }
  CHECK(stratified_sample(labels, 1000, 5).size() == 1000);
}

TEST_CASE("a sample holds each of a thousand classes in proportion") {
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < 4000; ++i) labels.push_back(i % 1000);
  std::vector<int> found(1000);
  for (const std::int64_t index : stratified_sample(labels, 2000, 5)) ++found[static_cast<std::size_t>(index % 1000)];
  CHECK(found == std::vector<int>(1000, 2));
}

TEST_CASE("a subset holds the images at the indices, in their order") {
  const DataSet data = load_data("synthetic:40", Split::train);
  const std::vector<std::int64_t> indices{17, 3};
  const DataSet part = subset(data, indices);
  CHECK(part.labels == std::vector<std::int64_t>{7, 3});
  CHECK(std::equal(pixels_of(part).begin(), pixels_of(part).begin() + 3072, pixels_of(data).begin() + 17 * 3072));
}

TEST_CASE("synthetic data are balanced, repeatable and nested, and train and test differ") {
  const DataSet small = load_data("synthetic:40", Split::train), large = load_data("synthetic:400", Split::train);
  CHECK(small.size() == 40);
  CHECK(std::equal(pixels_of(small).begin(), pixels_of(small).end(), pixels_of(large).begin()));
  const DataSet test = load_data("synthetic:400", Split::test);
  CHECK(test.size() == 100);
  CHECK_FALSE(std::equal(pixels_of(small).begin(), pixels_of(small).begin() + 3072, pixels_of(test).begin()));
  for (std::uint8_t label = 0; label < 10; ++label)
    CHECK(std::count(test.labels.begin(), test.labels.end(), label) == 10);
  std::uint64_t hash = 14695981039346656037ull;  // FNV-1a: the pictures are part of every file made from them
  for (const std::uint8_t byte : pixels_of(small)) hash = (hash ^ byte) * 1099511628211ull;
  CHECK(hash == 0x40e91ee04224b2d0ull);
}

TEST_CASE("synthetic classes cannot be told apart by their mean colour") {
  const DataSet train = load_data("synthetic:4000", Split::train), test = load_data("synthetic:4000", Split::test);
  const auto mean_colour = [](const DataSet& data, std::size_t image, std::size_t c) {
    double sum = 0;
    for (std::size_t p = 0; p < 1024; ++p) sum += pixels_of(data)[image * 3072 + c * 1024 + p];
    return sum / 1024;
  };
  // The nearest training image by mean colour decides.
  std::vector<std::array<double, 3>> colours(train.size());
  for (std::size_t i = 0; i < train.size(); ++i) {
    for (std::size_t c = 0; c < 3; ++c) colours[i][c] = mean_colour(train, i, c);
  }
  int right = 0;
  for (std::size_t i = 0; i < test.size(); ++i) {
    double best = 1e30;
    std::size_t nearest = 0;
    for (std::size_t j = 0; j < train.size(); ++j) {
      double distance = 0;
      for (std::size_t c = 0; c < 3; ++c) distance += std::pow(mean_colour(test, i, c) - colours[j][c], 2);
      if (distance < best) best = distance, nearest = j;
      if (j % 8 == 7 && j > 800) break;  // 800 neighbours are enough
    }
    right += train.labels[nearest] == test.labels[i] ? 1 : 0;
  }
  CHECK(right < 150);  // of 1000; chance is 100 +- 9.5
}

namespace {

void write_records(const std::filesystem::path& file, std::initializer_list<int> labels, std::size_t cut = 0) {
  std::ofstream out(file, std::ios::binary);
  for (const int label : labels) {
    std::string record(3073, static_cast<char>(10 * label));
    record[0] = static_cast<char>(label);
    record[3072] = static_cast<char>(200);
    out << record.substr(0, record.size() - cut);
  }
}

}  // namespace

TEST_CASE("CIFAR-10's binary layout is read in file order") {
  const TemporaryFolder folder;
  const auto inner = folder / "cifar-10-batches-bin";
  std::filesystem::create_directory(inner);
  for (int batch = 1; batch <= 5; ++batch) {
    write_records(inner / ("data_batch_" + std::to_string(batch) + ".bin"), {batch, 9 - batch});
  }
  write_records(inner / "test_batch.bin", {3});
  const auto words = "cifar10:" + folder.path().string();
  const DataSet train = load_data(words, Split::train);
  CHECK(train.labels == std::vector<std::int64_t>{1, 8, 2, 7, 3, 6, 4, 5, 5, 4});
  CHECK(pixels_of(train)[0] == 10);
  CHECK(pixels_of(train)[3071] == 200);
  CHECK(pixels_of(train)[3072] == 80);
  CHECK(train.normalization.mean[0] == Approx(125.3 / 255));
  CHECK(load_data("cifar10:" + inner.string(), Split::test).size() == 1);

  write_records(inner / "test_batch.bin", {3, 4}, 1);
  CHECK_THROWS_WITH(load_data(words, Split::test), ContainsSubstring("test_batch.bin: 6144 bytes are not a whole"));
  write_records(inner / "test_batch.bin", {11});
  CHECK_THROWS_WITH(load_data(words, Split::test), ContainsSubstring("label 11"));
  std::filesystem::remove(inner / "data_batch_4.bin");
  CHECK_THROWS_WITH(load_data(words, Split::train), ContainsSubstring("data_batch_4.bin: cannot be read"));
}

TEST_CASE("CIFAR-100's binary layout has a coarse and a fine label") {
  const TemporaryFolder folder;
  const auto write = [&](const char* name, std::initializer_list<std::pair<int, int>> labels) {
    std::ofstream out(folder / name, std::ios::binary);
    for (const auto& [coarse, fine] : labels) {
      std::string record(3074, static_cast<char>(fine));
      record[0] = static_cast<char>(coarse);
      out << record;
    }
  };
  write("train.bin", {{19, 99}, {0, 7}, {3, 0}});
  write("test.bin", {{20, 7}});
  const auto words = "cifar100:" + folder.path().string();
  const DataSet fine = load_data(words, Split::train), coarse = load_data(words + ":coarse", Split::train);
  CHECK(fine.labels == std::vector<std::int64_t>{99, 7, 0});
  CHECK(fine.classes == 100);
  CHECK(coarse.labels == std::vector<std::int64_t>{19, 0, 3});
  CHECK(coarse.classes == 20);
  CHECK(std::ranges::equal(pixels_of(fine), pixels_of(coarse)));
  CHECK(pixels_of(fine)[3072] == 7);
  CHECK_THROWS_WITH(load_data(words + ":coarse", Split::test), ContainsSubstring("label 20 of image 1"));
  CHECK(load_data(words, Split::test).labels == std::vector<std::int64_t>{7});
  CHECK(data_files(words).size() == 2);
  CHECK_THROWS_WITH(load_data("cifar100:/nowhere", Split::train), ContainsSubstring("no train.bin"));
}

TEST_CASE("IDX files are read as MNIST's are") {
  const TemporaryFolder folder;
  const auto raw = folder / "MNIST" / "raw";
  std::filesystem::create_directories(raw);
  const auto write = [&](const char* name, const std::string& bytes) {
    std::ofstream(raw / name, std::ios::binary) << bytes;
  };
  const auto head = [](std::initializer_list<int> sizes) {
    std::string bytes{0, 0, 8, static_cast<char>(sizes.size())};
    for (const int size : sizes) bytes += std::string(3, '\0') + static_cast<char>(size);
    return bytes;
  };
  std::string pixels;
  for (int i = 0; i < 2 * 3 * 4; ++i) pixels += static_cast<char>(i);
  write("train-images-idx3-ubyte", head({2, 3, 4}) + pixels);
  write("train-labels-idx1-ubyte", head({2}) + std::string{5, 0});
  write("t10k-images-idx3-ubyte", head({1, 3, 4}) + pixels.substr(0, 12));
  write("t10k-labels-idx1-ubyte", head({1}) + std::string{12});
  const auto words = "mnist:" + folder.path().string();
  const DataSet train = load_data(words, Split::train);
  CHECK(train.shape == std::array<std::int64_t, 3>{1, 3, 4});
  CHECK(train.labels == std::vector<std::int64_t>{5, 0});
  CHECK(train.classes == 13);  // of both splits
  CHECK(std::equal(pixels.begin(), pixels.end(), pixels_of(train).begin()));
  CHECK(data_files(words).size() == 4);

  write("train-labels-idx1-ubyte", head({3}) + std::string{5, 0, 1});
  CHECK_THROWS_WITH(load_data(words, Split::train), ContainsSubstring("3 labels"));
  write("train-images-idx3-ubyte", head({200, 200, 200}) + pixels);
  CHECK_THROWS_WITH(load_data(words, Split::train), ContainsSubstring("24 bytes after its head"));
  write("train-images-idx3-ubyte", "no IDX file");
  CHECK_THROWS_WITH(load_data(words, Split::train), ContainsSubstring("is not an IDX file"));
  std::filesystem::remove(raw / "t10k-images-idx3-ubyte");
  CHECK_THROWS_WITH(load_data(words, Split::test), ContainsSubstring("no t10k-images"));
}

TEST_CASE("data that are not there are refused with what would be right") {
  CHECK_THROWS_AS(load_data("imagenet:/x", Split::train), UsageError);
  CHECK_THROWS_AS(load_data("synthetic:ten", Split::train), UsageError);
  CHECK_THROWS_AS(load_data("synthetic:", Split::train), UsageError);
  CHECK_THROWS_AS(load_data("synthetic:0", Split::train), UsageError);
  CHECK_THROWS_AS(load_data("cifar10:", Split::train), UsageError);
  CHECK_THROWS_WITH(load_data("cifar10:/nowhere", Split::train), ContainsSubstring("/nowhere: no data_batch_1.bin"));
}

TEST_CASE("data of another folder keep their kind and what follows its name") {
  const auto there = [](const std::string& rest) { return "/there/" + rest; };
  CHECK(moved_data("cifar10:a/b", there) == "cifar10:/there/a/b");
  CHECK(moved_data("cifar100:a:coarse", there) == "cifar100:/there/a:coarse");
  CHECK(moved_data("tokens:t.bin:64", there) == "tokens:/there/t.bin:64");
  CHECK(moved_data("npz:a.npz", there) == "npz:/there/a.npz");
  CHECK(moved_data("synthetic:200", there) == "synthetic:200");
  CHECK(moved_data("synthetic", there) == "synthetic");
  CHECK_THROWS_AS(moved_data("imagenet:a", there), UsageError);
}

TEST_CASE("data are read from their copy and keep their name") {
  DataSpec spec("synthetic:200");
  spec.copies["synthetic:200"] = "synthetic:400";
  const DataSet set = load_data(spec, Split::train);
  CHECK(set.name == "synthetic:200");
  CHECK(set.size() == 400);
}
