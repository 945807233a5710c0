#include "surface/schema.h"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "base/error.h"
#include "surface/settings.h"

namespace lossatlas {
namespace {

using nlohmann::json;

bool is_range(const json& value) { return value.is_array() && value.size() == 2 && value[0].is_number(); }

/// `grid`, `x` and `y` of format 1; a line and a path had one row.
void upgrade_axes(json& settings) {
  const json grid = settings.value("grid", json()), x = settings.value("x", json()), y = settings.value("y", json());
  if (!is_range(grid) || !is_range(x) || !is_range(y)) return;
  const auto axis = [&](const std::string& name, const json& points, const json& range) {
    return json{{"name", name}, {"points", points}, {"low", range[0]}, {"high", range[1]}};
  };
  const json kind = settings.value("kind", json("surface"));
  json axes = json::array({axis(kind == "curve" ? "t" : "x", grid[0], x)});
  if (kind == "surface") axes.push_back(axis("y", grid[1], y));
  settings[key_of(&Settings::axes)] = axes;
  for (const char* key : {"grid", "x", "y"}) settings.erase(key);
}

/// `more` of format 1: names of what was measured beyond loss and accuracy, standard errors and counts among them.
void upgrade_measures(json& settings) {
  const json more = settings.value("more", json::array());
  const auto is_text = [](const json& name) { return name.is_string(); };
  if (!more.is_array() || !std::all_of(more.begin(), more.end(), is_text)) return;
  const Split split = settings.value("split", json("train")) == "test" ? Split::test : Split::train;
  auto names = names_of(loss_and_accuracy(split));
  for (const auto& name : more.get<std::vector<std::string>>()) {
    if (!name.ends_with("_se") && !name.ends_with("_images")) names.push_back(name);
  }
  settings[key_of(&Settings::measures)] = names;
  settings.erase("more");
}

}  // namespace

std::string at_root(const std::string& name) {
  constexpr std::array kRoot{"train_loss", "train_acc", "test_loss", "test_acc"};
  const bool is_there = std::find(kRoot.begin(), kRoot.end(), name) != kRoot.end();
  return (is_there ? "/" : "/lossatlas/") + name;
}

std::string group_of(const Form& form) {
  if (std::holds_alternative<Repeats>(form)) return "/lossatlas/repeats/";
  if (std::holds_alternative<FanLines>(form)) return "/lossatlas/lines/";
  return std::holds_alternative<Levels>(form) ? "/lossatlas/levels/" : kLinear;
}

std::string error_dataset(const Measure& measure) { return measure.name + "_se"; }

std::string counts_dataset(Split split) { return std::string(name_of(split)) + "_images"; }

std::string coordinates_dataset(std::size_t axis) { return scale_dataset(axis) + "coordinates"; }

std::string scale_dataset(std::size_t axis) { return "/" + axis_name(axis); }

std::string meaning_of(const Surface& surface, std::size_t axis) {
  if (surface.is_curve()) return "t, from one end to the other";
  const Settings settings = settings_from(surface.settings);
  if (settings.eigenvalues && axis < settings.eigenvalues->size()) {  // eigenvectors have unit length
    return fmt::format("distance along the eigenvector of eigenvalue {:.4g}", (*settings.eigenvalues)[axis]);
  }
  return fmt::format("multiples of direction {}", axis + 1);
}

nlohmann::ordered_json axes_json(const Surface& surface) {
  auto list = nlohmann::ordered_json::array();
  for (std::size_t k = 0; k < surface.grid.dimensions(); ++k) {
    const Axis& axis = surface.grid.axes[k];
    list.push_back({{"name", axis.name},
                    {"coordinates", coordinates_dataset(k)},
                    {"points", axis.points},
                    {"low", axis.low},
                    {"high", axis.high},
                    {"unit", meaning_of(surface, k)}});
  }
  return list;
}

nlohmann::ordered_json measures_json(const Surface& surface) {
  using nlohmann::ordered_json;
  auto list = ordered_json::array();
  for (const Measure& measure : surface.measures()) {
    ordered_json entry{{"name", measure.name},
                       {"measure", measure.kind},
                       {"split", measure.split ? ordered_json(name_of(*measure.split)) : nullptr},
                       {"unit", measure.unit},
                       {"mean_of", measure.mean_of.empty() ? ordered_json(nullptr) : ordered_json(measure.mean_of)},
                       {"dataset", at_root(measure.name)}};
    if (measure.has_error) entry["standard_error"] = at_root(error_dataset(measure));
    list.push_back(entry);
  }
  return list;
}

std::vector<Measure> measures_from(const json& list) {
  std::vector<Measure> measures;
  for (const json& entry : list) {
    const json split = entry.at("split"), mean_of = entry.at("mean_of");
    Measure measure{.name = entry.at("name"), .kind = entry.at("measure"), .split = std::nullopt};
    if (!split.is_null()) measure.split = split == "train" ? Split::train : Split::test;
    if (!split.is_null() && split != name_of(*measure.split)) throw std::out_of_range("a split");
    measure.unit = entry.at("unit");
    if (!mean_of.is_null()) measure.mean_of = mean_of;
    measure.has_error = entry.contains("standard_error");
    measures.push_back(measure);
  }
  return measures;
}

json upgraded(json settings) {
  if (!settings.is_object() || !(settings.contains("grid") || settings.contains("more"))) return settings;
  if (settings.value("kind", json()) == "path") settings["kind"] = "curve";
  upgrade_axes(settings);
  upgrade_measures(settings);
  return settings;
}

Form form_of(const json& stored) {
  const Settings settings = settings_from(stored);
  if (settings.kind == "curve") return CurveWithChord{};
  if (settings.levels && settings.levels->value) return Levels{*settings.levels->value};
  const std::size_t repeats = settings.repeat.value_or(1);
  if (repeats == 1) return Single{};
  if (settings.kind == "line") return FanLines{repeats};
  return Repeats{repeats};
}

std::vector<Measure> measures_of(const json& stored) {
  const Settings settings = settings_from(stored);
  const Split split = settings.split == "test" ? Split::test : Split::train;
  const auto names = settings.measures.value_or(names_of(loss_and_accuracy(split)));
  std::vector<Measure> measures;
  for (const auto& name : names) measures.push_back(measure_of(name, settings.loss == "mse" ? "" : kNats));
  return measures;
}

Surface empty_surface(const json& stored, const std::string& file) {
  const Settings settings = settings_from(stored);
  const auto measures = measures_of(stored);
  const bool has_loss = !measures.empty() && measures[0].split && measures[0].kind == "loss";
  if (!settings.axes || settings.axes->empty() || !has_loss) throw Error("{}: not a journal of a surface", file);
  std::vector<Axis> axes;
  for (const AxisSetting& axis : *settings.axes) axes.push_back({axis.low, axis.high, axis.points, axis.name});
  Surface surface(Grid(std::move(axes)), measures, form_of(stored));
  surface.settings = stored;
  return surface;
}

}  // namespace lossatlas
