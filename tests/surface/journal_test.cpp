#include "surface/journal.h"

#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <span>
#include <string>

#include "base/crc32.h"
#include "catch.h"
#include "surface/resume.h"
#include "surface/surface_file.h"
#include "surface_of.h"
#include "temporary_folder.h"

using namespace lossatlas;
using namespace std::string_literals;

namespace {

constexpr std::size_t kRecord = 8 + 5 * 8 + 4;

const nlohmann::json kSettings{{"checkpoint", {{"file", "a.pt"}, {"sha256", "0123456789abcdef"}}},
                               {"axes",
                                {{{"name", "x"}, {"points", 3}, {"low", -1.0}, {"high", 1.0}},
                                 {{"name", "y"}, {"points", 2}, {"low", 0.0}, {"high", 0.5}}}},
                               {"seed", 3},
                               {"engine", "fused"},
                               {"split", "test"}};

const std::vector<Measure> kMeasures = loss_and_accuracy(Split::test);

std::string read(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

void write(const std::filesystem::path& file, const std::string& content) {
  std::ofstream(file, std::ios::binary) << content;
}

/// A journal of three points, one of them not finite, and its bytes.
std::string write_example(const std::filesystem::path& file) {
  Journal journal(file, kSettings, kMeasures);
  journal.add(0, {1.5, 0.1, 40, 2, 10});
  journal.add(5, {std::numeric_limits<double>::infinity(), std::nan(""), 10, 1, 10});
  journal.add(2, {0.25, 0, 90, 0, 10});
  CHECK(journal.points() == 3);
  return read(file);
}

Surface empty_surface() {
  Surface surface({{-1, 1, 3}, {0, 0.5, 2}}, loss_and_accuracy(Split::test));
  surface.settings = kSettings;
  return surface;
}

}  // namespace

TEST_CASE("a journal is read back as it was written") {
  const TemporaryFolder folder;
  write_example(folder / "s.h5.journal");
  const JournalContents contents = read_journal(folder / "s.h5.journal");
  CHECK(contents.settings == kSettings);
  CHECK(contents.lost_bytes == 0);
  REQUIRE(contents.points.size() == 3);
  CHECK(contents.points[0].first == 0);
  CHECK(contents.points[0].second.loss == 1.5);
  CHECK(contents.points[0].second.accuracy_se == 2);
  CHECK(contents.points[1].first == 5);
  CHECK(std::isinf(contents.points[1].second.loss));
  CHECK(std::isnan(contents.points[1].second.loss_se));
  CHECK(contents.points[2].second.accuracy == 90);
  CHECK(contents.points[2].second.images == 10);
}

TEST_CASE("a journal holds what else was measured") {
  const TemporaryFolder folder;
  const auto file = folder / "s.h5.journal";
  const auto measures = measures_with(Split::test, {"test_acc_top5", "l2"});
  Journal(file, kSettings, measures).add(3, {1, 0, 50, 0, 10, {{"top5", 80}, {"l2", 0.25}}});
  const JournalContents contents = read_journal(file);
  CHECK(contents.measures == std::vector<std::string>{"test_loss", "test_acc", "test_acc_top5", "l2"});
  REQUIRE(contents.points.size() == 1);
  CHECK(contents.points[0].second.value("top5") == 80);
  CHECK(contents.points[0].second.value("l2") == 0.25);
  // A surface without these values does not take the points.
  Surface surface = empty_surface();
  CHECK(add_journal(file, surface) == 0);
  Surface wide({{-1, 1, 3}, {0, 0.5, 2}}, measures);
  wide.settings = kSettings;
  CHECK(add_journal(file, wide) == 1);
  CHECK(wide.values_of("l2")[3] == 0.25);
}

TEST_CASE("a torn tail is cut off, at any byte") {
  const TemporaryFolder folder;
  const auto file = folder / "s.h5.journal";
  const std::string whole = write_example(file);
  for (std::size_t cut = 1; cut < kRecord; ++cut) {
    write(file, whole.substr(0, whole.size() - cut));
    const JournalContents contents = read_journal(file);
    CHECK(contents.points.size() == 2);
    CHECK(contents.lost_bytes == kRecord - cut);
  }
}

TEST_CASE("a tail of zeros, as a power failure leaves one, holds no point") {
  const TemporaryFolder folder;
  const auto file = folder / "s.h5.journal";
  write(file, write_example(file) + std::string(2 * kRecord, '\0'));
  CHECK(read_journal(file).points.size() == 3);
}

TEST_CASE("no flipped byte of a record passes") {
  const TemporaryFolder folder;
  const auto file = folder / "s.h5.journal";
  const std::string whole = write_example(file);
  for (std::size_t at = whole.size() - 2 * kRecord; at < whole.size() - kRecord; ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    write(file, damaged);
    CHECK(read_journal(file).points.size() == 1);
  }
}

TEST_CASE("a head whose checksum is right but lacks the names of the values is damaged") {
  const TemporaryFolder folder;
  const auto file = folder / "s.h5.journal";
  for (const std::string text : {"[]", "{\"settings\": {}}", "{\"settings\": {}, \"values\": [1]}", "no JSON"}) {
    std::string head =
        "lossatlas-journ\n" + std::string("\1\0\0\0", 4) + static_cast<char>(text.size()) + "\0\0\0"s + text;
    const std::uint32_t sum = crc32(std::as_bytes(std::span(head)));
    head.append(reinterpret_cast<const char*>(&sum), sizeof sum);
    write(file, head);
    CHECK_THROWS_AS(read_journal(file), DamagedJournal);
  }
}

TEST_CASE("a count of images that is no count ends what is read") {
  const TemporaryFolder folder;
  const auto file = folder / "s.h5.journal";
  const std::string whole = write_example(file);
  std::string record = whole.substr(whole.size() - kRecord, kRecord - sizeof(std::uint32_t));
  const double nothing = std::nan("");
  record.replace(record.size() - sizeof nothing, sizeof nothing, reinterpret_cast<const char*>(&nothing),
                 sizeof nothing);
  const std::uint32_t sum = crc32(std::as_bytes(std::span(record)));
  record.append(reinterpret_cast<const char*>(&sum), sizeof sum);
  write(file, whole.substr(0, whole.size() - kRecord) + record);
  CHECK(read_journal(file).points.size() == 2);
}

TEST_CASE("a damaged head is told from a newer version") {
  const TemporaryFolder folder;
  const auto file = folder / "s.h5.journal";
  const std::string whole = write_example(file);
  std::string damaged = whole;
  damaged[40] = static_cast<char>(damaged[40] ^ 1);
  write(file, damaged);
  CHECK_THROWS_AS(read_journal(file), DamagedJournal);
  write(file, "lossatlas");
  CHECK_THROWS_AS(read_journal(file), DamagedJournal);
  std::string newer = whole;
  newer[16] = static_cast<char>(kJournalVersion + 1);
  write(file, newer);
  CHECK_THROWS_WITH(read_journal(file), ContainsSubstring("use a newer Lossatlas"));
}

TEST_CASE("what a kill left is the file's points and the journals'") {
  const TemporaryFolder folder;
  const auto file = folder / "s.h5";
  CHECK_FALSE(read_remains(file));
  Surface surface = empty_surface();
  surface.set(1, {7, 0, 50, 0, 10});
  write_surface(file, surface);
  write_example(folder / "s.h5.journal");
  Journal(folder / "s.h5.journal.node.example.17", kSettings, kMeasures).add(4, {4, 0, 50, 0, 10});
  write(folder / "s.h5.journal.tmp99", "not one");
  const auto remains = read_remains(file);
  REQUIRE(remains);
  CHECK(remains->surface.evaluated() == 5);
  CHECK(remains->from_journals == 4);
  CHECK(remains->surface.loss()[4] == 4);
  CHECK(remains->remarks.empty());
}

TEST_CASE("a file of a journal's name that never was one is left alone") {
  const TemporaryFolder folder;
  for (const char* name : {"s.h5.journal", "s.h5.journal.7"}) write(folder / name, "mine");
  CHECK(journals_of(folder / "s.h5").empty());
  CHECK_THROWS_WITH(Journal(folder / "s.h5.journal", kSettings, kMeasures), ContainsSubstring("move it away"));
  CHECK(read(folder / "s.h5.journal") == "mine");
}

TEST_CASE("a journal of other settings does not count") {
  const TemporaryFolder folder;
  Surface surface = empty_surface();
  surface.settings["seed"] = 4;
  write_surface(folder / "s.h5", surface);
  write_example(folder / "s.h5.journal");
  CHECK(read_remains(folder / "s.h5")->surface.evaluated() == 0);
}

TEST_CASE("a journal of the same data at another path counts") {
  const TemporaryFolder folder;
  Surface surface = empty_surface();
  const auto count = [&](const char* data, const char* digest) {
    surface.settings["data"] = data;
    surface.settings["samples_sha256"] = digest;
    write_surface(folder / "s.h5", surface);
    return read_remains(folder / "s.h5")->surface.evaluated();
  };
  nlohmann::json settings = kSettings;
  settings["data"] = "cifar10:a";
  settings["samples_sha256"] = "0123";
  Journal(folder / "s.h5.journal", settings, kMeasures).add(1, {1, 0, 50, 0, 10});
  CHECK(count("cifar10:b", "0123") == 1);
  CHECK(count("cifar10:a", "4567") == 0);
}

TEST_CASE("a journal stands for a surface that was deleted") {
  const TemporaryFolder folder;
  write_example(folder / "s.h5.journal");
  const auto remains = read_remains(folder / "s.h5");
  REQUIRE(remains);
  CHECK(remains->surface.split() == Split::test);
  CHECK(remains->surface.grid.axes[1].coordinates() == std::vector<double>{0, 0.5});
  CHECK(remains->surface.evaluated() == 3);
}

TEST_CASE("a damaged journal beside a surface costs its own points alone") {
  const TemporaryFolder folder;
  write_surface(folder / "s.h5", empty_surface());
  std::string damaged = write_example(folder / "s.h5.journal");
  damaged[40] = static_cast<char>(damaged[40] ^ 1);
  write(folder / "s.h5.journal", damaged);
  const auto remains = read_remains(folder / "s.h5");
  REQUIRE(remains);
  CHECK(remains->damaged.size() == 1);
  CHECK(remains->remarks.size() == 1);
}

TEST_CASE("the first setting that differs is named with both values, arithmetic last") {
  nlohmann::json now = kSettings;
  CHECK_FALSE(difference(now, kSettings));
  now["checkpoint"]["file"] = "renamed.pt";
  CHECK_FALSE(difference(now, kSettings));
  now["engine"] = "eager";
  CHECK(difference(now, kSettings)->text == "engine was \"fused\", now \"eager\"");
  CHECK(difference(now, kSettings)->arithmetic);
  now["seed"] = 4;
  CHECK(difference(now, kSettings)->text == "seed was 3, now 4");
  CHECK_FALSE(difference(now, kSettings)->arithmetic);
  now["checkpoint"]["sha256"] = "fedcba9876543210";
  CHECK_THAT(difference(now, kSettings)->text, ContainsSubstring("fedcba987654"));
  now = kSettings;
  now.erase("seed");
  CHECK(difference(now, kSettings)->text == "seed was 3, now not set");
}

TEST_CASE("a grid that holds all coordinates of another takes over its points") {
  Surface coarse({{-1, 1, 3}, {0, 0.5, 2}}, loss_and_accuracy(Split::test));
  coarse.set(0, {1, 0, 10, 0, 10});
  coarse.set(5, {6, 0, 60, 0, 10});
  Surface fine({{-1, 1, 5}, {0, 0.5, 3}}, loss_and_accuracy(Split::test));
  REQUIRE(adopt(coarse, fine));
  CHECK(fine.evaluated() == 2);
  CHECK(fine.loss()[0] == 1);
  CHECK(fine.loss()[14] == 6);
  Surface other({{-1, 1, 4}, {0, 0.5, 2}}, loss_and_accuracy(Split::test));
  CHECK_FALSE(adopt(coarse, other));
  CHECK(other.evaluated() == 0);
  Surface wider({{-2, 2, 5}, {0, 1, 3}}, loss_and_accuracy(Split::test));
  CHECK(adopt(coarse, wider));
}

TEST_CASE("points of each repeat are taken over into the same repeat") {
  const auto measures = measures_with(Split::test, {"l2"});
  const Grid grid{{-1, 1, 5}, {0, 0, 1}};
  Surface coarse({{-1, 1, 3}, {0, 0, 1}}, measures, Repeats{2});
  coarse.set(1, {1, 0, 10, 0, 10, {{"l2", 0.5}}});
  coarse.set(5, {6, 0, 60, 0, 10, {{"l2", 0.75}}});
  Surface fine(grid, measures, Repeats{2});
  REQUIRE(adopt(coarse, fine));
  CHECK(fine.evaluated() == 2);
  CHECK(fine.loss()[2] == 1);
  CHECK(fine.loss()[5 + 4] == 6);
  CHECK(fine.values_of("l2")[9] == 0.75);
  Surface more_repeats(grid, measures, Repeats{3});
  CHECK_FALSE(adopt(coarse, more_repeats));
  Surface other_values(grid, loss_and_accuracy(Split::test), Repeats{2});
  CHECK_FALSE(adopt(coarse, other_values));
  Surface levels(grid, measures, Levels{{5, 10}});
  CHECK_FALSE(adopt(coarse, levels));
}

TEST_CASE("points of three axes are taken over where all three coordinates are there") {
  const auto measures = loss_and_accuracy(Split::test);
  Surface coarse({{-1, 1, 3}, {0, 1, 2}, {-1, 1, 3}}, measures);
  coarse.set(coarse.grid.point_of(std::vector<std::size_t>{2, 1, 0}), {7, 0, 10, 0, 10});
  Surface fine({{-1, 1, 5}, {0, 1, 3}, {-1, 1, 5}}, measures);
  REQUIRE(adopt(coarse, fine));
  CHECK(fine.loss()[0 * 15 + 2 * 5 + 4] == 7);
  Surface plane({{-1, 1, 5}, {0, 1, 3}}, measures);
  CHECK_FALSE(adopt(coarse, plane));
}

TEST_CASE("a journal of version 1, which named its values otherwise, is read") {
  const TemporaryFolder folder;
  const auto file = folder / "s.h5.journal";
  const std::string text =
      R"({"settings": {"checkpoint": {"file": "a.pt", "sha256": "01"}, "grid": [3, 2], "kind": "surface",)"
      R"( "more": ["train_acc_top5", "test_loss", "test_loss_se", "test_acc", "test_acc_se", "test_images"],)"
      R"( "split": "both", "x": [-1.0, 1.0], "y": [0.0, 0.5]}, "values": ["loss", "loss_se", "accuracy",)"
      R"( "accuracy_se", "images", "train_acc_top5", "test_loss", "test_loss_se", "test_acc", "test_acc_se",)"
      R"( "test_images"]})";
  std::string journal = "lossatlas-journ\n\1\0\0\0"s;
  const auto put = [&](const auto& value) { journal.append(reinterpret_cast<const char*>(&value), sizeof value); };
  put(static_cast<std::uint32_t>(text.size()));
  journal += text;
  put(crc32(std::as_bytes(std::span(journal))));
  std::string head = journal;
  journal.clear();
  put(std::uint64_t{4});
  for (const double value : {1.5, 0.5, 40.0, 2.0, 10.0, 80.0, 2.5, 0.25, 30.0, 3.0, 5.0}) put(value);
  put(crc32(std::as_bytes(std::span(journal))));
  write(file, head + journal);
  const auto remains = read_remains(folder / "s.h5");
  REQUIRE(remains);
  const Surface& surface = remains->surface;
  CHECK(surface.evaluated() == 1);
  CHECK(surface.loss()[4] == 1.5);
  CHECK(surface.loss_errors()[4] == 0.5);
  CHECK(surface.values_of("train_acc_top5")[4] == 80);
  CHECK(surface.values_of("test_loss")[4] == 2.5);
  CHECK(surface.find("test_acc")->standard_errors[4] == 3);
  CHECK(surface.samples[0].counts[4] == 10);
  CHECK(surface.samples[1].counts[4] == 5);
  CHECK(surface.grid.axes[1].coordinates() == std::vector<double>{0, 0.5});
  CHECK_FALSE(surface.settings.contains("grid"));
}
