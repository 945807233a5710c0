#include <algorithm>
#include <stdexcept>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "storage/format.h"
#include "storage/grid.h"
#include "storage/hdf5.h"
#include "surface/schema.h"
#include "surface/settings.h"
#include "surface/surface_file.h"

namespace lossatlas {
namespace {

using nlohmann::json;

Axis read_axis(const Hdf5Reader& reader, const std::string& dataset, std::string name) {
  const auto values = reader.read<double>(dataset);
  if (values.empty() || reader.shape(dataset).size() != 1) {
    throw Error("{}: {} is not a list of coordinates", reader.file().string(), dataset);
  }
  return {values.front(), values.back(), values.size(), std::move(name)};
}

/// As many axes as have coordinates. The one of a curve is t.
Grid read_grid(const Hdf5Reader& reader, bool is_curve) {
  std::vector<Axis> axes;
  for (std::size_t k = 0; k == 0 || reader.has(coordinates_dataset(k)); ++k) {
    axes.push_back(read_axis(reader, coordinates_dataset(k), is_curve ? "t" : axis_name(k)));
  }
  return Grid(std::move(axes));
}

std::vector<double> read_values(const Hdf5Reader& reader, const std::string& name, const Shape& shape) {
  if (!reader.has(name)) throw Error("{}: has no {}", reader.file().string(), name);
  if (reader.shape(name) != shape) {
    throw Error("{}: {} is [{}], the coordinates ask for [{}]", reader.file().string(), name,
                fmt::join(reader.shape(name), ", "), fmt::join(shape, ", "));
  }
  return reader.read<double>(name);
}

json read_object(const Hdf5Reader& reader, const std::string& name) {
  json object = parse_json(reader.text_attribute("/lossatlas", name));
  if (!object.is_object()) throw Error("{}: /lossatlas@{} is not a JSON object", reader.file().string(), name);
  return object;
}

std::vector<std::int64_t> read_counts(const Hdf5Reader& reader, const std::string& name, const Shape& shape) {
  std::vector<std::int64_t> counts;
  for (const double value : read_values(reader, name, shape)) {
    if (!(value >= 0 && value < 1e15)) throw Error("{}: {} holds {}", reader.file().string(), name, value);
    counts.push_back(static_cast<std::int64_t>(value));
  }
  return counts;
}

std::vector<PointState> read_states(const Hdf5Reader& reader, const std::string& name, const Shape& shape) {
  std::vector<PointState> states;
  for (const double value : read_values(reader, name, shape)) {
    if (value != 0 && value != 1 && value != 2) {
      throw Error("{}: {} holds {}, which is not a state of a point", reader.file().string(), name, value);
    }
    states.push_back(static_cast<PointState>(value));
  }
  return states;
}

/// What the settings say of a file's values, checked, since anybody may have written them; as the present format has
/// them.
json read_settings(const Hdf5Reader& reader) {
  json settings = upgraded(read_object(reader, "settings"));
  const auto is_text = [](const json& name) { return name.is_string(); };
  const auto is_count = [](const json& value) { return value.is_number_integer() && value >= 1; };
  const json repeats = settings.value(key_of(&Settings::repeat), json(1));
  if (!is_count(repeats) || repeats > 1'000'000) {
    throw Error("{}: {} is not a number of repeats", reader.file().string(), json_text(repeats));
  }
  for (const char* key : {"more", key_of(&Settings::measures)}) {
    const json names = settings.value(key, json::array());
    if (!names.is_array() || !std::all_of(names.begin(), names.end(), is_text)) {
      throw Error("{}: the setting {} is not a list of names", reader.file().string(), key);
    }
  }
  const json levels = stored(settings, key_of(&Settings::levels));
  if (!levels.is_null() &&
      (!levels.is_array() || levels.empty() || !std::all_of(levels.begin(), levels.end(), is_count))) {
    throw Error("{}: the setting levels is not a list of numbers of images", reader.file().string());
  }
  return settings;
}

/// The loss over a split first, and that of every other split.
bool have_losses(const std::vector<Measure>& measures) {
  const auto has_loss = [&](Split split) {
    return std::any_of(measures.begin(), measures.end(), [&](const Measure& measure) {
      return measure.name == measure_name("loss", split) && measure.split == split && measure.has_error;
    });
  };
  const auto is_complete = [&](const Measure& measure) { return !measure.split || has_loss(*measure.split); };
  return !measures.empty() && measures[0].split && measures[0].name == measure_name("loss", *measures[0].split) &&
         std::all_of(measures.begin(), measures.end(), is_complete);
}

std::vector<Measure> read_measures(const Hdf5Reader& reader, const json& settings) {
  std::vector<Measure> measures = measures_of(settings);
  if (reader.has_attribute("/lossatlas", "measures")) {
    try {
      measures = measures_from(parse_json(reader.text_attribute("/lossatlas", "measures")));
    } catch (const json::exception&) {
      measures.clear();
    } catch (const std::out_of_range&) {
      measures.clear();
    }
  } else if (settings.contains(key_of(&Settings::levels)) && std::holds_alternative<Levels>(form_of(settings))) {
    measures.push_back(measure_of(error_name(measures.at(0).split.value_or(Split::train))));  // format 1 did not say so
  }
  if (!have_losses(measures)) {
    throw Error("{}: /lossatlas@measures is not a list of measures that begins with a loss", reader.file().string());
  }
  return measures;
}

/// Values of all members, each dataset at the path that `place` gives to its name.
template <class Place>
Surface read_fields(const Hdf5Reader& reader, const Grid& grid, const std::vector<Measure>& measures, const Form& form,
                    const Place& place) {
  Shape shape = grid.shape();
  if (const auto* levels = std::get_if<Levels>(&form)) shape.insert(shape.begin(), levels->sizes.size());
  if (const auto* repeats = std::get_if<Repeats>(&form)) shape.insert(shape.begin(), repeats->count);
  if (const auto* lines = std::get_if<FanLines>(&form)) shape.insert(shape.begin(), lines->count);
  // Before the surface takes memory for all its points: long axes in a small file multiply to far more than it holds.
  auto loss = read_values(reader, place(measures[0].name), shape);
  Surface surface(grid, measures, form);
  for (auto& [measure, values, standard_errors] : surface.fields) {
    values = measure.name == measures[0].name ? loss : read_values(reader, place(measure.name), shape);
    if (measure.has_error) standard_errors = read_values(reader, place(error_dataset(measure)), shape);
  }
  surface.state = read_states(reader, place("evaluated"), shape);
  for (Samples& samples : surface.samples) {
    samples.indices = reader.read<std::int64_t>("/lossatlas/samples_" + std::string(name_of(samples.split)));
    const auto counts = place(counts_dataset(samples.split));
    if (reader.has(counts)) {
      samples.counts = read_counts(reader, counts, shape);
      continue;
    }
    // Files of before there was such a dataset: all images made each value.
    const auto all = static_cast<std::int64_t>(samples.indices.size());
    for (std::size_t i = 0; i < surface.size(); ++i) {
      if (surface.state[i] != PointState::missing) samples.counts[i] = all;
    }
  }
  return surface;
}

/// Curve and straight line, the two members.
Surface read_curve(const Hdf5Reader& reader, const Grid& grid, const std::vector<Measure>& measures) {
  const auto beside = [](const std::string& name) { return std::string(kLinear) + name; };
  Surface both = read_fields(reader, grid, measures, Single{}, at_root);
  const Surface chord = read_fields(reader, grid, measures, Single{}, beside);
  both.form = CurveWithChord{};
  const auto append = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
  for (std::size_t f = 0; f < both.fields.size(); ++f) {
    append(both.fields[f].values, chord.fields[f].values);
    append(both.fields[f].standard_errors, chord.fields[f].standard_errors);
  }
  for (std::size_t s = 0; s < both.samples.size(); ++s) append(both.samples[s].counts, chord.samples[s].counts);
  append(both.state, chord.state);
  return both;
}

/// The checkpoints that are marked in the file, if any.
void read_points(const Hdf5Reader& reader, Surface& surface) {
  const std::string group = std::string(kPoints) + "/";
  if (!reader.has(group + "name")) return;
  const auto names = reader.read_texts(group + "name");
  const auto read = [&](const std::string& name) { return read_values(reader, group + name, {names.size()}); };
  for (const auto& name : names) {
    surface.points.push_back({.name = name, .coordinates = std::vector<double>(surface.grid.dimensions(), 0)});
  }
  for (const std::string& dataset : reader.members(kPoints)) {
    if (!dataset.ends_with("_loss") && !dataset.ends_with("_acc")) continue;
    const auto values = read(dataset);
    for (std::size_t i = 0; i < values.size(); ++i) surface.points[i].values[dataset] = values[i];
  }
  for (std::size_t k = 0; k < surface.grid.dimensions(); ++k) {
    const auto values = read(axis_name(k));
    for (std::size_t i = 0; i < values.size(); ++i) surface.points[i].coordinates[k] = values[i];
  }
  const auto distances = read("distance");
  for (std::size_t i = 0; i < distances.size(); ++i) surface.points[i].distance = distances[i];
  if (reader.has_attribute(kPoints, "unit")) surface.unit = reader.number_attribute(kPoints, "unit");
}

/// The pilot of a surface in levels, as far as it is there.
void read_pilot(const Hdf5Reader& reader, Surface& surface) {
  const std::string group(kPilot), split(name_of(surface.split()));
  if (!reader.has(group + "point")) return;
  const auto points = reader.read<std::int64_t>(group + "point");
  const std::size_t images = surface.samples[0].indices.size();
  const auto losses = read_values(reader, group + split + "_loss", {points.size(), images});
  const bool has_correct = reader.has(group + split + "_correct");
  const auto correct =
      has_correct ? reader.read<std::uint8_t>(group + split + "_correct") : std::vector<std::uint8_t>();
  const auto is_on_grid = [&](std::int64_t point) {
    return point >= 0 && point < static_cast<std::int64_t>(surface.grid.size());
  };
  if ((has_correct && correct.size() != losses.size()) || !std::all_of(points.begin(), points.end(), is_on_grid)) {
    throw Error("{}: {} does not fit its surface", reader.file().string(), group);
  }
  for (std::size_t k = 0; k < points.size(); ++k) {
    const auto first = static_cast<std::ptrdiff_t>(k * images), end = first + static_cast<std::ptrdiff_t>(images);
    PilotPoint point{static_cast<std::size_t>(points[k]), {{losses.begin() + first, losses.begin() + end}, {}}};
    if (has_correct) point.images.is_correct.assign(correct.begin() + first, correct.begin() + end);
    surface.levels()->pilot.push_back(std::move(point));
  }
}

/// The curves that are drawn in the file's plane, if any.
void read_curves(const Hdf5Reader& reader, Surface& surface) {
  if (!reader.has(kCurves)) return;
  for (const std::string& name : reader.members(kCurves)) {
    const std::string place = fmt::format("{}/{}/", kCurves, name);
    const Shape shape = reader.shape(place + "t");
    surface.curves.push_back({name, read_values(reader, place + "t", shape), read_values(reader, place + "x", shape),
                              read_values(reader, place + "y", shape)});
  }
}

void read_maps(const Hdf5Reader& reader, Surface& surface) {
  EigenMaps maps;
  maps.largest = reader.read<double>("/max_eig");
  maps.smallest = reader.read<double>("/min_eig");
  maps.largest_residuals = reader.read<double>("/lossatlas/max_eig_residual");
  maps.smallest_residuals = reader.read<double>("/lossatlas/min_eig_residual");
  maps.done = reader.read<std::uint8_t>("/lossatlas/curvature/rows");
  maps.products = static_cast<std::size_t>(reader.integer_attribute("/lossatlas/curvature/rows", "products"));
  maps.batch_size = reader.integer_attribute("/lossatlas/curvature/rows", "batch_size");
  for (const auto* values : {&maps.largest, &maps.smallest, &maps.largest_residuals, &maps.smallest_residuals}) {
    if (values->size() == surface.grid.size() && surface.grid.shape().front() == maps.done.size()) continue;
    throw Error("{}: its eigenvalues are not those of its grid", reader.file().string());
  }
  surface.maps = std::move(maps);
}

/// The values that one of our files holds: all members, or what levels add up to.
Surface read_own(const Hdf5Reader& reader, bool wants_levels) {
  check_format(reader);
  const bool has_kind = reader.has_attribute("/lossatlas", "kind");  // "path" in format 1
  const std::string kind = has_kind ? reader.text_attribute("/lossatlas", "kind") : "";
  const Grid grid = read_grid(reader, kind == "path" || kind == "curve");
  const json settings = read_settings(reader);
  json with_kind = settings;
  with_kind[key_of(&Settings::kind)] = kind == "path"                              ? "curve"
                                       : grid.dimensions() == 1 && kind != "curve" ? "line"
                                                                                   : kind;
  Form form = form_of(with_kind);
  const bool has_levels = std::holds_alternative<Levels>(form);
  auto measures = read_measures(reader, settings);
  if (has_levels && wants_levels) {
    std::erase_if(measures, [](const Measure& measure) { return measure.kind == "loss_error"; });
  } else if (has_levels) {
    form = Single{};
  }
  const auto place = [&](const std::string& name) {
    return std::holds_alternative<Single>(form) ? at_root(name) : group_of(form) + name;
  };
  Surface surface = std::holds_alternative<CurveWithChord>(form) ? read_curve(reader, grid, measures)
                                                                 : read_fields(reader, grid, measures, form, place);
  if (surface.levels()) read_pilot(reader, surface);
  read_points(reader, surface);
  read_curves(reader, surface);
  surface.trajectory = read_trajectory(reader);
  surface.settings = settings;
  surface.provenance = read_object(reader, "provenance");
  if (reader.has_attribute("/lossatlas", "centre_check")) surface.centre_check = read_object(reader, "centre_check");
  if (reader.has_attribute("/lossatlas", "axis_curvatures")) {
    surface.axis_curvatures = axis_curvatures_from(parse_json(reader.text_attribute("/lossatlas", "axis_curvatures")));
  }
  if (reader.has("/lossatlas/curvature/rows")) read_maps(reader, surface);
  return surface;
}

/// A surface of tomgoldstein/loss-landscape, whose values are marked with -1 where they were not evaluated.
Surface read_theirs(const Hdf5Reader& reader, Split split) {
  const Grid grid = read_grid(reader, false);
  const auto measures = loss_and_accuracy(split);
  const auto read = [&](const std::string& name) {
    const Shape shape = grid.shape(), turned(shape.rbegin(), shape.rend());
    // Its writer shapes arrays [nx, ny] and fills them in the order of [ny, nx].
    return read_values(reader, name, reader.shape(name) == turned ? turned : shape);
  };
  auto loss = read("/" + measures[0].name);
  Surface surface(grid, measures);
  surface.loss() = std::move(loss);
  if (reader.has("/" + measures[1].name)) surface.fields[1].values = read("/" + measures[1].name);
  const auto evaluated = evaluated_of(surface.loss());
  for (std::size_t i = 0; i < surface.size(); ++i) {
    surface.state[i] = static_cast<PointState>(evaluated[i]);
    if (!evaluated[i]) surface.fields[0].values[i] = surface.fields[1].values[i] = kNotKnown;
  }
  return surface;
}

Surface read_any(const std::filesystem::path& file, bool wants_levels) {
  const Hdf5Reader reader(file);
  const Split split = reader.has("/train_loss") ? Split::train : Split::test;
  if (!reader.has("/xcoordinates") || !reader.has(fmt::format("/{}", measure_name("loss", split)))) {
    throw Error(
        "{}: not a surface or line (requires xcoordinates, ycoordinates unless it is a line, and train_loss or "
        "test_loss; it "
        "holds {})",
        file.string(), fmt::join(reader.members("/"), ", "));
  }
  Surface surface = reader.has("/lossatlas") ? read_own(reader, wants_levels) : read_theirs(reader, split);
  if (reader.has("/dir_file")) surface.direction_file = reader.read_text("/dir_file");
  return surface;
}

}  // namespace

Surface read_surface(const std::filesystem::path& file) { return read_any(file, false); }

Surface read_members(const std::filesystem::path& file) { return read_any(file, true); }

}  // namespace lossatlas
