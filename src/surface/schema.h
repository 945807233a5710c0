#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "surface/surface.h"

namespace lossatlas {

// Where the parts of a surface are stored in its file, as docs/file-format.md describes it.

inline constexpr auto kPoints = "/lossatlas/points";
inline constexpr auto kCurves = "/lossatlas/curves";
inline constexpr auto kPilot = "/lossatlas/pilot/";
/// The values along the straight line, if those along the curve are at the root.
inline constexpr auto kLinear = "/lossatlas/linear/";

/// Of a dataset of what every reader looks for: loss and accuracy at the root, as tomgoldstein/loss-landscape has them,
/// the rest under /lossatlas.
std::string at_root(const std::string& name);
/// Where the values of each member are stored, if there are several: "/lossatlas/repeats/".
std::string group_of(const Form& form);
/// Of the standard errors of a measure.
std::string error_dataset(const Measure& measure);
/// Of how many samples made the values over a split.
std::string counts_dataset(Split split);
/// Of the coordinates along an axis: "/xcoordinates".
std::string coordinates_dataset(std::size_t axis);
/// Of their dimension scale: "/x".
std::string scale_dataset(std::size_t axis);

/// What the coordinates along an axis are.
std::string meaning_of(const Surface& surface, std::size_t axis);

/// /lossatlas@axes and /lossatlas@measures.
nlohmann::ordered_json axes_json(const Surface& surface);
nlohmann::ordered_json measures_json(const Surface& surface);
/// Throws nlohmann::json::exception for what is no such list, std::out_of_range for an unknown split.
std::vector<Measure> measures_from(const nlohmann::json& list);

/// Settings of format 1 as the present format has them: `axes` for `grid`, `x` and `y`, `measures` for `more`, the kind
/// "curve" for "path". Others are left as they are, as is what makes no sense.
nlohmann::json upgraded(nlohmann::json settings);

/// The form of a surface with these settings.
Form form_of(const nlohmann::json& settings);
/// Its measures by the names in its settings.
std::vector<Measure> measures_of(const nlohmann::json& settings);
/// Without points. Throws Error, naming `file`, if the settings do not say what its grid is.
Surface empty_surface(const nlohmann::json& settings, const std::string& file);

}  // namespace lossatlas
