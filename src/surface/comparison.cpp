#include "surface/comparison.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>
#include <set>

#include "data/data_digest.h"
#include "surface/resume.h"
#include "surface/settings.h"

namespace lossatlas {
namespace {

using nlohmann::json;

/// The settings; for a file of other tools, which has none, what is seen of it.
json settings_with_axes(const Surface& surface) {
  json settings = surface.settings, axes = json::array();
  for (const Axis& axis : surface.grid.axes)
    axes.push_back(json_of(AxisSetting{axis.name, axis.points, axis.low, axis.high}));
  settings[key_of(&Settings::axes)] = axes;
  settings[key_of(&Settings::split)] = name_of(surface.split());
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

void add(ValueComparison& comparison, double a, double b, const std::vector<double>& at) {
  ++comparison.points;
  comparison.other_bits += same_bits(a, b) ? 0 : 1;
  comparison.finite_in_one += std::isfinite(a) != std::isfinite(b) ? 1 : 0;
  if (!std::isfinite(a) || !std::isfinite(b) || a == b) return;
  const auto keep_furthest = [&](Furthest& furthest, double difference) {
    if (difference <= furthest.difference) return;
    furthest = {.difference = difference, .first = a, .second = b, .at = at};
  };
  const double absolute = std::abs(a - b);
  keep_furthest(comparison.absolute, absolute);
  keep_furthest(comparison.relative, absolute / std::max(std::abs(a), std::abs(b)));
}

Comparison compare_values(const Surface& first, const Surface& second) {
  Comparison comparison;
  const auto places = places_of(first.grid, second.grid);
  const auto accuracies = first.accuracy(), others = second.accuracy();
  std::size_t both = 0;
  for (std::size_t i = 0; i < first.size(); ++i) {
    if (first.state[i] == PointState::missing) continue;
    if (!places[i] || second.state[*places[i]] == PointState::missing) {
      ++comparison.only_first;
      continue;
    }
    ++both;
    const auto at = first.grid.coordinates_of(i);
    add(comparison.loss, first.loss()[i], second.loss()[*places[i]], at);
    add(comparison.accuracy, accuracies[i], others[*places[i]], at);
  }
  comparison.only_second = second.size() - second.missing() - both;
  return comparison;
}

nlohmann::ordered_json json_of(const Furthest& furthest, const std::vector<std::string>& axes) {
  if (furthest.difference == 0) return nullptr;
  nlohmann::ordered_json all{
      {"difference", furthest.difference}, {"first", furthest.first}, {"second", furthest.second}};
  for (std::size_t k = 0; k < axes.size(); ++k) all[axes[k]] = furthest.at[k];
  return all;
}

nlohmann::ordered_json json_of(const ValueComparison& values, const std::vector<std::string>& axes) {
  return {{"points", values.points},
          {"equal_bits", values.other_bits == 0},
          {"other_bits", values.other_bits},
          {"finite_in_one", values.finite_in_one},
          {"largest_absolute", json_of(values.absolute, axes)},
          {"largest_relative", json_of(values.relative, axes)}};
}

}  // namespace

bool same_bits(double a, double b) {
  return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b) || (std::isnan(a) && std::isnan(b));
}

bool Comparison::has_same_values() const {
  const auto is_same = [](const ValueComparison& values) { return values.other_bits == 0; };
  return only_first == 0 && only_second == 0 && is_same(loss) && is_same(accuracy) && is_same(line_loss) &&
         is_same(line_accuracy);
}

Comparison compare(const Surface& first, const Surface& second) {
  const auto root = [](const Surface& surface) {
    if (surface.is_curve()) return member_of(surface, kCurveMember);
    return surface.is_single() ? surface : mean_of(surface);
  };
  Comparison comparison = compare_values(root(first), root(second));
  if (first.is_curve() && second.is_curve()) {
    const Comparison chords = compare_values(member_of(first, kChordMember), member_of(second, kChordMember));
    comparison.line_loss = chords.loss;
    comparison.line_accuracy = chords.accuracy;
    comparison.only_first += chords.only_first;
    comparison.only_second += chords.only_second;
  }
  for (const Axis& axis : first.grid.axes) comparison.axes.push_back(axis.name);
  comparison.settings = compare_settings(settings_with_axes(first), settings_with_axes(second));
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
                             {"loss", json_of(comparison.loss, comparison.axes)},
                             {"accuracy", json_of(comparison.accuracy, comparison.axes)}};
  if (comparison.line_loss.points > 0) {
    all["line_loss"] = json_of(comparison.line_loss, comparison.axes);
    all["line_accuracy"] = json_of(comparison.line_accuracy, comparison.axes);
  }
  return all;
}

}  // namespace lossatlas
