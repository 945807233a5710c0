#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "surface/surface.h"

namespace lossatlas {

/// What earlier runs left of a surface: the file's points and those of its journals.
struct Remains {
  Surface surface;
  std::size_t from_journals = 0;                    // points that the file lacks
  std::vector<std::filesystem::path> damaged = {};  // journals whose points are lost
  std::vector<std::string> remarks = {};            // on what is damaged, for people
};

/// Nothing if there is neither a file nor a journal. Journals count where their settings are those of the file.
/// Throws Error for a file or a journal that is of another kind, cannot be read, or is of a newer version.
std::optional<Remains> read_remains(const std::filesystem::path& file);

/// Adds the points of a journal that the surface lacks, where the journal's settings are the surface's (difference, and
/// the grid). Their number.
std::size_t add_journal(const std::filesystem::path& journal, Surface& surface);

/// A setting that differs between two runs.
struct Difference {
  std::string key;                    // its name among the settings
  std::string text;                   // "seed was 0, now 1"
  bool arithmetic = false;            // decides only the last bits: engine, instruction set, batch size, LibTorch
  std::string now = {}, before = {};  // "1", "0"; "" if the data differ
};

/// The value of a setting as it is compared, null if it is missing: a file is its bytes, whatever its name.
nlohmann::json identity(const nlohmann::json& settings, const std::string& key);

/// The differences of settings but the grid, those of arithmetic last. `now` and `before` as a file stores them. Data
/// are compared as data_difference does.
std::vector<Difference> differences(const nlohmann::json& now, const nlohmann::json& before);

/// The first of them.
std::optional<Difference> difference(const nlohmann::json& now, const nlohmann::json& before);

/// Copies the points of `from` into `to`, if its grid holds all coordinates of all axes exactly. False if not.
bool adopt(const Surface& from, Surface& to);

}  // namespace lossatlas
