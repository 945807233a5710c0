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
#include "temporary_folder.h"

using namespace lossatlas;
using namespace std::string_literals;

namespace {

constexpr std::size_t kRecord = 8 + 5 * 8 + 4;

const nlohmann::json kSettings{{"checkpoint", {{"file", "a.pt"}, {"sha256", "0123456789abcdef"}}},
                               {"grid", {3, 2}},
                               {"x", {-1.0, 1.0}},
                               {"y", {0.0, 0.5}},
                               {"seed", 3},
                               {"engine", "fused"},
                               {"split", "test"}};

std::string read(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

void write(const std::filesystem::path& file, const std::string& content) {
  std::ofstream(file, std::ios::binary) << content;
}

/// A journal of three points, one of them not finite, and its bytes.
std::string write_example(const std::filesystem::path& file) {
  Journal journal(file, kSettings);
  journal.add(0, {1.5, 0.1, 40, 2, 10});
  journal.add(5, {std::numeric_limits<double>::infinity(), std::nan(""), 10, 1, 10});
  journal.add(2, {0.25, 0, 90, 0, 10});
  CHECK(journal.points() == 3);
  return read(file);
}

Surface empty_surface() {
  Surface surface({-1, 1, 3}, {0, 0.5, 2}, Split::test);
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
  Journal(file, kSettings, {"train_acc_top5", "l2"}).add(3, {1, 0, 50, 0, 10, {80, 0.25}});
  const JournalContents contents = read_journal(file);
  CHECK(contents.more_names == std::vector<std::string>{"train_acc_top5", "l2"});
  REQUIRE(contents.points.size() == 1);
  CHECK(contents.points[0].second.more == std::vector<double>{80, 0.25});
  // A surface without these values does not take the points.
  Surface surface = empty_surface();
  CHECK(add_journal(file, surface) == 0);
  Surface wide({-1, 1, 3}, {0, 0.5, 2}, Split::test, {"train_acc_top5", "l2"});
  wide.settings = kSettings;
  CHECK(add_journal(file, wide) == 1);
  CHECK(wide.more[1].values[3] == 0.25);
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
  Journal(folder / "s.h5.journal.node.example.17", kSettings).add(4, {4, 0, 50, 0, 10});
  write(folder / "s.h5.journal.tmp99", "not one");
  const auto remains = read_remains(file);
  REQUIRE(remains);
  CHECK(remains->surface.evaluated() == 5);
  CHECK(remains->from_journals == 4);
  CHECK(remains->surface.loss[4] == 4);
  CHECK(remains->remarks.empty());
}

TEST_CASE("a file of a journal's name that never was one is left alone") {
  const TemporaryFolder folder;
  for (const char* name : {"s.h5.journal", "s.h5.journal.7"}) write(folder / name, "mine");
  CHECK(journals_of(folder / "s.h5").empty());
  CHECK_THROWS_WITH(Journal(folder / "s.h5.journal", kSettings), ContainsSubstring("move it away"));
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
  Journal(folder / "s.h5.journal", settings).add(1, {1, 0, 50, 0, 10});
  CHECK(count("cifar10:b", "0123") == 1);
  CHECK(count("cifar10:a", "4567") == 0);
}

TEST_CASE("a journal stands for a surface that was deleted") {
  const TemporaryFolder folder;
  write_example(folder / "s.h5.journal");
  const auto remains = read_remains(folder / "s.h5");
  REQUIRE(remains);
  CHECK(remains->surface.split == Split::test);
  CHECK(remains->surface.y.coordinates() == std::vector<double>{0, 0.5});
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
  Surface coarse({-1, 1, 3}, {0, 0.5, 2}, Split::test);
  coarse.set(0, {1, 0, 10, 0, 10});
  coarse.set(5, {6, 0, 60, 0, 10});
  Surface fine({-1, 1, 5}, {0, 0.5, 3}, Split::test);
  REQUIRE(adopt(coarse, fine));
  CHECK(fine.evaluated() == 2);
  CHECK(fine.loss[0] == 1);
  CHECK(fine.loss[14] == 6);
  Surface other({-1, 1, 4}, {0, 0.5, 2}, Split::test);
  CHECK_FALSE(adopt(coarse, other));
  CHECK(other.evaluated() == 0);
  Surface wider({-2, 2, 5}, {0, 1, 3}, Split::test);
  CHECK(adopt(coarse, wider));
}

TEST_CASE("points of each repeat are taken over into the same repeat") {
  Surface coarse({-1, 1, 3}, {0, 0, 1}, Split::test, {"l2"}, 2);
  coarse.set(1, {1, 0, 10, 0, 10, {0.5}});
  coarse.set(5, {6, 0, 60, 0, 10, {0.75}});
  Surface fine({-1, 1, 5}, {0, 0, 1}, Split::test, {"l2"}, 2);
  REQUIRE(adopt(coarse, fine));
  CHECK(fine.evaluated() == 2);
  CHECK(fine.loss[2] == 1);
  CHECK(fine.loss[5 + 4] == 6);
  CHECK(fine.more[0].values[9] == 0.75);
  Surface more_repeats({-1, 1, 5}, {0, 0, 1}, Split::test, {"l2"}, 3);
  CHECK_FALSE(adopt(coarse, more_repeats));
  Surface other_values({-1, 1, 5}, {0, 0, 1}, Split::test, {}, 2);
  CHECK_FALSE(adopt(coarse, other_values));
}
