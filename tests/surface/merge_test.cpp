#include "surface/merge.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "base/error.h"
#include "catch.h"
#include "surface/comparison.h"
#include "surface/journal.h"
#include "surface/schema.h"
#include "surface/shard.h"
#include "surface/surface_file.h"
#include "temporary_folder.h"

using namespace lossatlas;
using nlohmann::json;

namespace {

json axis(const char* name, std::size_t points, double low, double high) {
  return {{"name", name}, {"points", points}, {"low", low}, {"high", high}};
}

const json kWholeSettings{{"kind", "surface"},
                          {"checkpoint", {{"file", "a.pt"}, {"sha256", "0123456789abcdef"}}},
                          {"axes", {axis("x", 3, -1, 1), axis("y", 3, -1, 1)}},
                          {"seed", 3},
                          {"engine", "fused"},
                          {"split", "test"}};

Evaluation value_at(std::size_t point) {
  const double loss = point == 5 ? std::numeric_limits<double>::infinity() : 0.1 * static_cast<double>(point);
  return {loss, point == 5 ? std::nan("") : 0.01, 10.0 * static_cast<double>(point), 1, 10};
}

/// The whole, of these settings.
Surface whole(const json& settings = kWholeSettings) {
  Surface surface = lossatlas::empty_surface(settings, "a test");
  for (std::size_t i = 0; i < surface.size(); ++i) surface.set(i, value_at(i));
  return surface;
}

using Change = std::function<void(Surface&)>;

/// One shard of it, changed before it is written.
std::filesystem::path write_shard(const TemporaryFolder& folder, const Shard& shard, const Change& change = nullptr,
                                  json settings = kWholeSettings) {
  settings["shard"] = text_of(shard);
  Surface surface = lossatlas::empty_surface(settings, "a test");
  for (const std::size_t point : points_of_shard(surface)) surface.set(point, value_at(point % surface.grid.size()));
  surface.provenance = {{"command", "shard " + text_of(shard)}, {"seconds", 1.5}};
  if (change) change(surface);
  const auto file = shard_file(folder / "S.h5", shard);
  write_surface(file, surface);
  return file;
}

std::string refusal_of(const std::vector<std::filesystem::path>& files, const MergeOptions& options = {}) {
  try {
    merge_shards(files, options);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool has(const std::string& text, const std::vector<std::string>& parts) {
  CAPTURE(text);
  return std::all_of(parts.begin(), parts.end(), [&](const std::string& part) {
    CHECK_THAT(text, ContainsSubstring(part));
    return text.find(part) != text.npos;
  });
}

}  // namespace

TEST_CASE("shards in any order are the whole, bit for bit, and are named in its provenance") {
  const TemporaryFolder folder;
  const auto first = write_shard(folder, {1, 3}), second = write_shard(folder, {2, 3}),
             third = write_shard(folder, {3, 3});
  const auto [surface, notes] = merge_shards({third, first, second}, {});
  CHECK(notes.empty());
  CHECK(surface.settings == kWholeSettings);
  CHECK(surface.missing() == 0);
  CHECK(compare(surface, whole()).has_same_values());
  CHECK(std::isinf(surface.loss()[5]));
  CHECK(surface.samples[0].counts == whole().samples[0].counts);
  CHECK(surface.provenance.at("seconds") == 4.5);
  const json& from = surface.provenance.at("merged_from");
  REQUIRE(from.size() == 3);
  CHECK(from[1] ==
        json{{"file", "S-2-of-3.h5"}, {"shard", "2/3"}, {"points", 3}, {"command", "shard 2/3"}, {"seconds", 1.5}});
}

TEST_CASE("a set that is not complete is refused, and merged on request") {
  const TemporaryFolder folder;
  const auto drop = [](Surface& surface) { surface.state[points_of_shard(surface).back()] = PointState::missing; };
  const auto second = write_shard(folder, {2, 6}, drop), fifth = write_shard(folder, {5, 6});
  CHECK(has(refusal_of({second, fifth}), {"S-2-of-6.h5: not finished, 1 of its 2 points are missing",
                                          "shards 1, 3-4, 6 of 6 are missing", "`partial`"}));
  const auto [surface, notes] = merge_shards({second, fifth}, {.partial = true});
  CHECK(surface.evaluated() == 2);
  CHECK(!surface.settings.contains("shard"));
  REQUIRE(notes.size() == 1);
  CHECK(has(notes[0], {"note: ", "shards 1, 3-4, 6 of 6 are missing", "`resume`"}));
}

TEST_CASE("points that only a journal holds count, and the shard is left as it is") {
  const TemporaryFolder folder;
  const auto first = write_shard(folder, {1, 2});
  Surface empty = lossatlas::empty_surface(kWholeSettings, "a test");
  empty.settings["shard"] = "2/2";
  const auto second = shard_file(folder / "S.h5", {2, 2});
  write_surface(second, empty);
  Journal journal(journal_of(second), empty.settings, empty.measures());
  for (const std::size_t point : points_of_shard(empty)) journal.add(point, value_at(point));
  CHECK(compare(merge_shards({first, second}, {}).surface, whole()).has_same_values());
  CHECK(read_journal(journal_of(second)).points.size() == 4);
}

TEST_CASE("what does not belong to a merge is named") {
  const TemporaryFolder folder;
  const auto first = write_shard(folder, {1, 2});
  const auto with = [&](const char* key, const json& value) {
    json settings = kWholeSettings;
    settings[key] = value;
    return write_shard(folder, {2, 2}, nullptr, settings);
  };
  CHECK(has(refusal_of({first, with("seed", 4)}), {"S-2-of-2.h5: other settings than ", "S-1-of-2.h5", ": seed"}));
  json both = kWholeSettings;
  both["seed"] = 4;
  both["checkpoint"]["sha256"] = "fedcba9876543210";
  CHECK(has(refusal_of({first, write_shard(folder, {2, 2}, nullptr, both)}), {": checkpoint, seed (`lossatlas info"}));
  CHECK(has(refusal_of({first, with("axes", {axis("x", 3, -1, 1), axis("y", 3, -1, 2)})}),
            {"S-2-of-2.h5: its grid is 3x3 over x -1:1 and y -1:2", "x -1:1 and y -1:1"}));
  CHECK(has(refusal_of({first, with("axes", json::array({axis("x", 9, -1, 1)}))}), {"S-2-of-2.h5"}));
  CHECK(has(refusal_of({first, write_shard(folder, {2, 3})}), {"S-2-of-3.h5: shard 2/3", "S-1-of-2.h5 is shard 1/2"}));
  const auto copy = folder / "copy.h5";
  std::filesystem::copy_file(first, copy);
  CHECK(has(refusal_of({first, copy}), {"copy.h5: shard 1/2, as is ", "S-1-of-2.h5"}));
  CHECK(has(refusal_of({first, first}), {"S-1-of-2.h5: shard 1/2, as is "}));
  write_surface(folder / "whole.h5", whole());
  CHECK(has(refusal_of({first, folder / "whole.h5"}), {"whole.h5: not a shard"}));
  CHECK(has(refusal_of({first, folder / "none.h5"}), {"none.h5: no such file"}));
}

TEST_CASE("a point that two shards hold has one value") {
  const TemporaryFolder folder;
  const auto first = write_shard(folder, {1, 2});
  const auto also = [&](double loss) {  // the centre is of the first
    return write_shard(folder, {2, 2}, [=](Surface& surface) {
      Evaluation value = value_at(4);
      value.loss = loss;
      surface.set(4, value);
    });
  };
  CHECK(refusal_of({first, also(0.4)}).empty());
  CHECK(has(refusal_of({first, also(std::nextafter(0.4, 1))}),
            {"S-2-of-2.h5: holds other values at (0, 0) than ", "S-1-of-2.h5"}));
}

TEST_CASE("other arithmetic is let pass on request, and said") {
  const TemporaryFolder folder;
  const auto first = write_shard(folder, {1, 2});
  json settings = kWholeSettings;
  settings["engine"] = "eager";
  const auto second = write_shard(folder, {2, 2}, nullptr, settings);
  CHECK(has(refusal_of({first, second}), {"S-2-of-2.h5: other settings than ", ": engine", "`force`"}));
  const auto [surface, notes] = merge_shards({first, second}, {.force = true});
  REQUIRE(notes.size() == 1);
  CHECK(has(notes[0], {"warning: ", ": engine"}));
  CHECK(surface.provenance.at("other_arithmetic") == "engine of the shards");
}

TEST_CASE("the centre check and the losses of marked checkpoints come from the first shard that has them") {
  const TemporaryFolder folder;
  const auto mark = [](double loss) {
    return [=](Surface& surface) {
      surface.points = {{.name = "A", .coordinates = {0, 0}}};
      surface.points[0].values = {{"test_loss", loss}, {"test_acc", 50.0}};
      if (!std::isnan(loss)) surface.centre_check = {{"equal", true}};
    };
  };
  const auto surface =
      merge_shards({write_shard(folder, {1, 2}, mark(std::nan(""))), write_shard(folder, {2, 2}, mark(0.25))}, {})
          .surface;
  CHECK(surface.points.at(0).value("test_loss") == 0.25);
  CHECK(surface.centre_check == json{{"equal", true}});
}
