#include "surface/resume.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "data/data_digest.h"
#include "surface/journal.h"
#include "surface/schema.h"
#include "surface/settings.h"
#include "surface/surface_file.h"

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
constexpr std::array kPassedOver{key_of(&Settings::axes), key_of(&Settings::cosine), key_of(&Settings::lengths),
                                 key_of(&Settings::bn_layers)};
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
  return settings.axes && settings.checkpoint;
}

/// The surface without points that a journal belongs to, where the file is gone.
Surface surface_of(const JournalContents& contents, const std::filesystem::path& journal) {
  if (!is_own(contents.settings)) throw Error("{}: not a journal of a surface", journal.string());
  return empty_surface(contents.settings, journal.string());
}

Surface read_own_surface(const std::filesystem::path& file) {
  const auto journals = journals_of(file);
  try {
    Surface surface = read_members(file);
    if (is_own(surface.settings)) return surface;
    throw Error("{}: not written by `lossatlas surface`, which cannot continue it; choose another `out`",
                file.string());
  } catch (const Error& error) {
    if (journals.empty()) throw;
    throw Error("{}; move it away to continue from {}", error.what(), journals.front().string());
  }
}

/// True if points of one are points of the other, by index: same grid, and nothing differs but what files are
/// called.
bool has_same_points(const json& a, const json& b) {
  if (a == b || !a.is_object() || !b.is_object()) return a == b;
  return stored(a, key_of(&Settings::axes)) == stored(b, key_of(&Settings::axes)) && !difference(a, b);
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
  if (contents.measures != names_of(surface.measures())) return 0;
  std::size_t added = 0;
  for (const auto& [index, evaluation] : contents.points) {
    if (index >= surface.size() || surface.state[index] == PointState::evaluated) continue;
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
    throw Error("{}: damaged at its start, and {} is not there: nothing to resume; move it away to start again",
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

std::vector<Difference> differences(const json& now, const json& before) {
  std::vector<Difference> all;
  std::set<std::string> seen;
  for (const std::string& key : keys_of(now, before)) {
    if (!seen.insert(key).second) continue;
    if (key == kData) {
      if (const auto text = data_difference(now, before)) all.push_back({key, *text});
    } else if (identity(now, key) != identity(before, key)) {
      const std::string then = value_text(before, key), text = value_text(now, key);
      all.push_back({key, fmt::format("{} was {}, now {}", key, then, text), holds(kArithmetic, key), text, then});
    }
  }
  return all;
}

std::optional<Difference> difference(const json& now, const json& before) {
  const auto all = differences(now, before);
  return all.empty() ? std::nullopt : std::optional(all.front());
}

bool adopt(const Surface& from, Surface& to) {
  if (from.form.index() != to.form.index() || from.members() != to.members()) return false;
  if (names_of(from.measures()) != names_of(to.measures())) return false;
  if (to.levels() && from.size() != to.size()) return false;
  const auto places = places_of(from.grid, to.grid);
  if (std::find(places.begin(), places.end(), std::nullopt) != places.end()) return false;
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (from.state[i] == PointState::missing) continue;
    const std::size_t size = from.grid.size(), place = to.index_in(i / size, *places[i % size]);
    to.set(place, from.at(i));
    to.state[place] = from.state[i];
  }
  return true;
}

}  // namespace lossatlas
