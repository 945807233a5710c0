#include "landscape/resume.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "data/data_digest.h"
#include "landscape/journal.h"
#include "landscape/settings.h"

namespace lossatlas {
namespace {

using nlohmann::json;

/// Named before all others where they differ: the rest often follows from them.
constexpr std::array kFirst{key_of(&Settings::checkpoint), key_of(&Settings::arch), key_of(&Settings::kind),
                            key_of(&Settings::split), key_of(&Settings::plane)};
/// Which of the data's images are used.
constexpr std::array kImages{key_of(&Settings::samples), key_of(&Settings::sample_seed),
                             key_of(&Settings::test_samples), key_of(&Settings::bn), key_of(&Settings::bn_images)};
constexpr std::array kThen{key_of(&Settings::loss),      key_of(&Settings::points),        key_of(&Settings::runs),
                           key_of(&Settings::seed),      key_of(&Settings::normalization), key_of(&Settings::ignore),
                           key_of(&Settings::directions)};
/// They decide the last bits of a value, not what it means.
constexpr std::array kArithmetic{key_of(&Settings::engine), key_of(&Settings::instruction_set),
                                 key_of(&Settings::batch_size), key_of(&Settings::libtorch)};
/// Compared otherwise (the grid), or a consequence of others.
constexpr std::array kPassedOver{key_of(&Settings::grid),   key_of(&Settings::x),       key_of(&Settings::y),
                                 key_of(&Settings::cosine), key_of(&Settings::lengths), key_of(&Settings::bn_layers)};
constexpr std::string_view kData = key_of(&Settings::data);

template <std::size_t N>
bool holds(const std::array<const char*, N>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// A setting that older files lack, as they were made.
json before_there_was(const std::string& key) {
  static const json values = json_of(settings_of_old_files());
  return values.value(key, json(nullptr));
}

/// A file is known by its digest, not by its name.
json identity(const json& value) { return value.is_object() && value.contains("sha256") ? value.at("sha256") : value; }

std::string value_text(const json& value) {
  if (!value.is_object() || !value.contains("sha256")) return json_text(value);
  const auto digest = value.at("sha256").get<std::string>();
  return fmt::format("{} (SHA-256 {}…)", value.value("file", "?"), digest.substr(0, 12));
}

std::string value_text(const json& settings, const std::string& key) {
  const auto found = settings.find(key);
  if (found == settings.end()) return "not set";
  if (!found->is_array() || found->empty() || !found->front().is_object()) return value_text(*found);
  std::vector<std::string> texts;
  for (const json& entry : *found) texts.push_back(value_text(entry));
  return fmt::format("{}", fmt::join(texts, ", "));
}

bool is_own(const json& stored_settings) {
  const Settings settings = settings_from(stored_settings);
  return settings.grid && settings.x && settings.y && settings.checkpoint;
}

/// The surface without points that a journal belongs to, where the file is gone.
Surface surface_of(const JournalContents& contents, const std::filesystem::path& journal) {
  if (!is_own(contents.settings)) throw Error("{}: no journal of a surface", journal.string());
  const Settings settings = settings_from(contents.settings);
  const auto axis = [](const std::array<double, 2>& range, std::uint64_t points) {
    return Axis{range[0], range[1], points};
  };
  const Split split = settings.split == "test" ? Split::test : Split::train;
  Surface surface(axis(*settings.x, settings.grid->at(0)), axis(*settings.y, settings.grid->at(1)), split,
                  contents.more_names, layers_of(contents.settings));
  for (const auto kind : {SurfaceKind::line, SurfaceKind::curve}) {
    if (settings.kind == name_of(kind)) surface.kind = kind;
  }
  surface.levels = levels_of(contents.settings);
  surface.settings = contents.settings;
  surface.provenance = json::object();
  return surface;
}

Surface read_own_surface(const std::filesystem::path& file) {
  const auto journals = journals_of(file);
  try {
    Surface surface = read_layers(file);
    if (is_own(surface.settings)) return surface;
    throw Error("{}: not written by `lossatlas surface`, which cannot go on with it; choose another `out`",
                file.string());
  } catch (const Error& error) {
    if (journals.empty()) throw;
    throw Error("{}; move it away to go on from {}", error.what(), journals.front().string());
  }
}

/// True where points of one are points of the other, by index: same grid, and nothing differs but what files are
/// called.
bool has_same_points(const json& a, const json& b) {
  if (a == b || !a.is_object() || !b.is_object()) return a == b;
  const auto is_equal = [&](const char* key) { return a.value(key, json()) == b.value(key, json()); };
  return is_equal(key_of(&Settings::grid)) && is_equal(key_of(&Settings::x)) && is_equal(key_of(&Settings::y)) &&
         !difference(a, b);
}

/// Keys of settings in the order in which differences are looked for.
std::vector<std::string> keys_of(const json& now, const json& before) {
  std::vector<std::string> keys(kFirst.begin(), kFirst.end());
  // All images are used: their number is the data's, not an option's.
  const char* seed = key_of(&Settings::sample_seed);
  if (stored(now, seed).is_null() && stored(before, seed).is_null()) keys.emplace_back(kData);
  keys.insert(keys.end(), kImages.begin(), kImages.end());
  keys.emplace_back(kData);
  keys.insert(keys.end(), kThen.begin(), kThen.end());
  for (const json* settings : {&now, &before}) {
    for (const auto& [key, value] : settings->items()) {
      if (!holds(kArithmetic, key) && !holds(kPassedOver, key) && !is_data_digest(key)) keys.push_back(key);
    }
  }
  keys.insert(keys.end(), kArithmetic.begin(), kArithmetic.end());
  return keys;
}

std::size_t add_points(const JournalContents& contents, Surface& surface) {
  if (!has_same_points(contents.settings, surface.settings)) return 0;
  std::size_t added = 0;
  for (const auto& [index, evaluation] : contents.points) {
    if (index >= surface.size() || surface.state[index] == PointState::evaluated) continue;
    if (evaluation.more.size() != surface.more.size()) continue;
    surface.set(index, evaluation);
    ++added;
  }
  return added;
}

}  // namespace

std::size_t add_journal(const std::filesystem::path& journal, Surface& surface) {
  return add_points(read_journal(journal), surface);
}

std::optional<Remains> read_remains(const std::filesystem::path& file) {
  std::optional<Remains> remains;
  if (std::filesystem::exists(file)) remains = Remains{.surface = read_own_surface(file)};
  std::vector<std::filesystem::path> damaged;
  std::vector<std::string> remarks;
  for (const auto& path : journals_of(file)) {
    try {
      const JournalContents contents = read_journal(path);
      if (!remains) remains = Remains{.surface = surface_of(contents, path)};
      remains->from_journals += add_points(contents, remains->surface);
      if (contents.lost_bytes > 0) {
        remarks.push_back(fmt::format("{}: {} bytes at its end are torn or damaged; their points are computed again",
                                      path.string(), contents.lost_bytes));
      }
    } catch (const DamagedJournal& error) {
      damaged.push_back(path);
      remarks.push_back(fmt::format("{}; the points that only it held are computed again", error.what()));
    }
  }
  if (!remains && !damaged.empty()) {
    throw Error("{}: damaged at its start, and {} is not there: nothing to go on with; move it away to start anew",
                damaged.front().string(), file.string());
  }
  if (!remains) return remains;
  remains->damaged = std::move(damaged);
  remains->remarks = std::move(remarks);
  return remains;
}

json identity(const json& settings, const std::string& key) {
  const auto found = settings.find(key);
  if (found == settings.end()) return before_there_was(key);
  if (!found->is_array()) return identity(*found);
  json list = json::array();
  for (const json& entry : *found) list.push_back(identity(entry));
  return list;
}

std::optional<Difference> difference(const json& now, const json& before) {
  for (const std::string& key : keys_of(now, before)) {
    if (key == kData) {
      if (const auto text = data_difference(now, before)) return Difference{*text, false};
    } else if (identity(now, key) != identity(before, key)) {
      return Difference{fmt::format("{} was {}, now {}", key, value_text(before, key), value_text(now, key)),
                        holds(kArithmetic, key)};
    }
  }
  return std::nullopt;
}

bool adopt(const Surface& from, Surface& to) {
  std::vector<std::size_t> columns, rows;
  const auto find_all = [](const Axis& old, const Axis& grid, std::vector<std::size_t>& places) {
    for (const double coordinate : old.coordinates()) {
      const auto place = grid.index_of(coordinate);
      if (!place) return false;
      places.push_back(*place);
    }
    return true;
  };
  if (from.layers != to.layers || (!to.levels.empty() && from.size() != to.size()) ||
      from.more_names() != to.more_names())
    return false;
  if (!find_all(from.x, to.x, columns) || !find_all(from.y, to.y, rows)) return false;
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (from.state[i] == PointState::missing) continue;
    const std::size_t layer = i / from.grid_size(), row = i % from.grid_size() / from.x.points;
    const std::size_t place = layer * to.grid_size() + rows[row] * to.x.points + columns[i % from.x.points];
    to.set(place, from.at(i));
    to.state[place] = from.state[i];
  }
  return true;
}

}  // namespace lossatlas
