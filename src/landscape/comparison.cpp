#include "landscape/comparison.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>
#include <set>

#include "data/data_digest.h"
#include "landscape/curve_summary.h"
#include "landscape/resume.h"
#include "landscape/settings.h"

namespace lossatlas {
namespace {

using nlohmann::json;

/// The settings; for a file of other tools, which has none, what is seen of it.
json settings_with_grid(const Surface& surface) {
  json settings = surface.settings;
  settings[key_of(&Settings::grid)] = {surface.x.points, surface.y.points};
  settings[key_of(&Settings::x)] = {surface.x.low, surface.x.high};
  settings[key_of(&Settings::y)] = {surface.y.low, surface.y.high};
  settings[key_of(&Settings::split)] = name_of(surface.split);
  return settings;
}

std::vector<SettingDifference> compare_settings(const json& first, const json& second) {
  std::set<std::string> names;
  for (const json* settings : {&first, &second}) {
    for (const auto& [name, value] : settings->items()) names.insert(name);
  }
  std::vector<SettingDifference> differences;
  const bool has_digests = !data_digests_of(first).empty() && !data_digests_of(second).empty();
  for (const auto& name : names) {
    if (name == key_of(&Settings::data) && has_digests && !data_difference(first, second))
      continue;  // the same images, elsewhere
    const json a = identity(first, name), b = identity(second, name);
    if (a != b) differences.push_back({name, a, b});
  }
  return differences;
}

/// For each point of an axis the other axis's point at the same coordinate.
std::vector<std::optional<std::size_t>> places_of(const Axis& axis, const Axis& other) {
  std::vector<std::optional<std::size_t>> places;
  for (const double coordinate : axis.coordinates()) places.push_back(other.index_of(coordinate));
  return places;
}

bool same_bits(double a, double b) {
  return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b) || (std::isnan(a) && std::isnan(b));
}

void add(ValueComparison& comparison, double a, double b, double x, double y) {
  ++comparison.points;
  comparison.other_bits += same_bits(a, b) ? 0 : 1;
  comparison.finite_in_one += std::isfinite(a) != std::isfinite(b) ? 1 : 0;
  if (!std::isfinite(a) || !std::isfinite(b) || a == b) return;
  const auto keep_furthest = [&](Furthest& furthest, double difference) {
    if (difference <= furthest.difference) return;
    furthest = {.difference = difference, .first = a, .second = b, .x = x, .y = y};
  };
  const double absolute = std::abs(a - b);
  keep_furthest(comparison.absolute, absolute);
  keep_furthest(comparison.relative, absolute / std::max(std::abs(a), std::abs(b)));
}

Comparison compare_values(const Surface& first, const Surface& second) {
  Comparison comparison;
  const auto columns = places_of(first.x, second.x), rows = places_of(first.y, second.y);
  std::size_t second_left = 0, both = 0;
  for (const PointState state : second.state) second_left += state != PointState::missing ? 1 : 0;
  for (std::size_t i = 0; i < first.size(); ++i) {
    if (first.state[i] == PointState::missing) continue;
    const std::size_t column = i % first.x.points, row = i / first.x.points;
    const auto there =
        columns[column] && rows[row] ? std::optional(*rows[row] * second.x.points + *columns[column]) : std::nullopt;
    if (!there || second.state[*there] == PointState::missing) {
      ++comparison.only_first;
      continue;
    }
    ++both;
    const double x = first.x.at(column), y = first.y.at(row);
    add(comparison.loss, first.loss[i], second.loss[*there], x, y);
    add(comparison.accuracy, first.accuracy[i], second.accuracy[*there], x, y);
  }
  comparison.only_second = second_left - both;
  return comparison;
}

nlohmann::ordered_json json_of(const Furthest& furthest) {
  if (furthest.difference == 0) return nullptr;
  return {{"difference", furthest.difference},
          {"first", furthest.first},
          {"second", furthest.second},
          {"x", furthest.x},
          {"y", furthest.y}};
}

nlohmann::ordered_json json_of(const ValueComparison& values) {
  return {{"points", values.points},
          {"equal_bits", values.other_bits == 0},
          {"other_bits", values.other_bits},
          {"finite_in_one", values.finite_in_one},
          {"largest_absolute", json_of(values.absolute)},
          {"largest_relative", json_of(values.relative)}};
}

}  // namespace

bool Comparison::has_same_values() const {
  const auto is_same = [](const ValueComparison& values) { return values.other_bits == 0; };
  return only_first == 0 && only_second == 0 && is_same(loss) && is_same(accuracy) && is_same(line_loss) &&
         is_same(line_accuracy);
}

Comparison compare(const Surface& first, const Surface& second) {
  const auto root = [](const Surface& surface) {
    if (surface.kind == SurfaceKind::curve) return repeat_of(surface, kCurveLayer);
    return surface.layers == 1 ? surface : mean_of_repeats(surface);
  };
  Comparison comparison = compare_values(root(first), root(second));
  if (first.kind == SurfaceKind::curve && second.kind == SurfaceKind::curve) {
    const Comparison lines = compare_values(repeat_of(first, kLineLayer), repeat_of(second, kLineLayer));
    comparison.line_loss = lines.loss;
    comparison.line_accuracy = lines.accuracy;
    comparison.only_first += lines.only_first;
    comparison.only_second += lines.only_second;
  }
  comparison.settings = compare_settings(settings_with_grid(first), settings_with_grid(second));
  return comparison;
}

nlohmann::ordered_json json_of(const Comparison& comparison) {
  nlohmann::ordered_json settings = nlohmann::ordered_json::array();
  for (const auto& [name, first, second] : comparison.settings) {
    settings.push_back({{"name", name}, {"first", first}, {"second", second}});
  }
  nlohmann::ordered_json all{{"settings", settings},
                             {"same_values", comparison.has_same_values()},
                             {"common", comparison.loss.points + comparison.line_loss.points},
                             {"only_first", comparison.only_first},
                             {"only_second", comparison.only_second},
                             {"loss", json_of(comparison.loss)},
                             {"accuracy", json_of(comparison.accuracy)}};
  if (comparison.line_loss.points > 0) {
    all["line_loss"] = json_of(comparison.line_loss);
    all["line_accuracy"] = json_of(comparison.line_accuracy);
  }
  return all;
}

}  // namespace lossatlas
