#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "landscape/curve_summary.h"
#include "landscape/settings.h"
#include "landscape/summary.h"
#include "landscape/surface.h"
#include "storage/format.h"
#include "storage/grid.h"
#include "storage/hdf5.h"

namespace lossatlas {
namespace {

/// Where the values of each repeat stand, where there are several.
constexpr std::string_view kRepeats = "/lossatlas/repeats/";
/// The same of each line of a fan.
constexpr std::string_view kLines = "/lossatlas/lines/";
/// The same of each number of images.
constexpr std::string_view kLevels = "/lossatlas/levels/";
constexpr std::string_view kPilot = "/lossatlas/pilot/";
/// The values along the straight line, where those along the curve stand at the root.
constexpr std::string_view kLinear = "/lossatlas/linear/";
constexpr std::string_view kPoints = "/lossatlas/points";
constexpr std::string_view kCurves = "/lossatlas/curves/";

/// What is known of a surface's datasets before they are read.
struct Form {
  SurfaceKind kind;
  Axis x, y;
  Split split;
};

std::string group_of_layers(SurfaceKind kind, bool has_levels) {
  if (has_levels) return std::string(kLevels);
  return std::string(kind == SurfaceKind::line ? kLines : kRepeats);
}

/// [layers, ny, nx], or [layers, nx] of lines; without layers of what stands at the root.
template <class Described>
Shape shape_of(const Described& surface, std::size_t layers = 0) {
  Shape shape;
  if (layers > 0) shape.push_back(layers);
  if (surface.kind == SurfaceKind::surface) shape.push_back(surface.y.points);
  shape.push_back(surface.x.points);
  return shape;
}

/// Numbers of images among `more`: stored as whole numbers.
bool is_count(std::string_view name) { return name.ends_with("_images"); }

/// Names of the values: loss and accuracy at the root, as tomgoldstein/loss-landscape has them, the rest of ours under
/// /lossatlas.
struct Names {
  std::string loss, accuracy, loss_se, accuracy_se, images, evaluated = "evaluated";

  explicit Names(Split split) {
    const std::string prefix(name_of(split));
    loss = prefix + "_loss";
    accuracy = prefix + "_acc";
    loss_se = prefix + "_loss_se";
    accuracy_se = prefix + "_acc_se";
    images = prefix + "_images";
  }
};

std::vector<std::uint8_t> numbers_of(const std::vector<PointState>& states) {
  std::vector<std::uint8_t> numbers;
  for (const PointState point : states) numbers.push_back(static_cast<std::uint8_t>(point));
  return numbers;
}

std::vector<std::int64_t> counts_of(const std::vector<double>& values) {
  std::vector<std::int64_t> counts;
  for (const double value : values) counts.push_back(std::isnan(value) ? 0 : static_cast<std::int64_t>(value));
  return counts;
}

/// All values, each dataset at the path that `place` gives to its name.
template <class Place>
void write_values(Hdf5Writer& writer, const Surface& surface, const Shape& shape, const Place& place) {
  const Names names(surface.split);
  writer.write<double>(place(names.loss), surface.loss, shape);
  writer.write<double>(place(names.accuracy), surface.accuracy, shape);
  writer.write<double>(place(names.loss_se), surface.loss_se, shape);
  writer.write<double>(place(names.accuracy_se), surface.accuracy_se, shape);
  writer.write<std::int64_t>(place(names.images), surface.images, shape);
  writer.write<std::uint8_t>(place(names.evaluated), numbers_of(surface.state), shape);
  for (const auto& [name, values] : surface.more) {
    if (is_count(name)) {
      writer.write<std::int64_t>(place(name), counts_of(values), shape);
    } else {
      writer.write<double>(place(name), values, shape);
    }
  }
}

std::string at_root(const std::string& name) {
  constexpr std::array kRoot{"train_loss", "train_acc", "test_loss", "test_acc"};
  const bool is_there = std::find(kRoot.begin(), kRoot.end(), name) != kRoot.end();
  return (is_there ? "/" : "/lossatlas/") + name;
}

void attach_scales(Hdf5Writer& writer, const std::string& dataset, const Surface& surface) {
  if (!surface.is_flat()) writer.attach_scale(dataset, 0, "/y");
  writer.attach_scale(dataset, surface.is_flat() ? 0 : 1, "/x");
}

std::vector<std::string> splits_of(const Surface& surface) {
  std::vector<std::string> splits{std::string(name_of(surface.split))};
  if (surface.has_both_splits()) splits.emplace_back("test");
  return splits;
}

void write_coordinates(Hdf5Writer& writer, const Surface& surface) {
  const bool is_curve = surface.kind == SurfaceKind::curve;
  write_axis(writer, "/xcoordinates", "/x", is_curve ? "t, from one end to the other" : "multiples of direction 1",
             surface.x.coordinates());
  if (!surface.is_flat())
    write_axis(writer, "/ycoordinates", "/y", "multiples of direction 2", surface.y.coordinates());
  const Names names(surface.split);
  std::vector<std::string> on_the_grid{names.loss,        names.accuracy, names.loss_se,
                                       names.accuracy_se, names.images,   names.evaluated};
  for (const auto& [name, values] : surface.more) on_the_grid.push_back(name);
  for (const auto& name : on_the_grid) attach_scales(writer, at_root(name), surface);
  for (const std::string& split : splits_of(surface)) {
    writer.attribute("/" + split + "_loss", "long_name", split + " loss");
    writer.attribute("/" + split + "_acc", "long_name", split + " accuracy");
    writer.attribute("/" + split + "_acc", "units", "percent");
  }
}

Axis read_axis(const Hdf5Reader& reader, const std::string& name) {
  const auto values = reader.read<double>(name);
  if (values.empty() || reader.shape(name).size() != 1) {
    throw Error("{}: {} is not a list of coordinates", reader.file().string(), name);
  }
  return {values.front(), values.back(), values.size()};
}

std::vector<double> read_grid(const Hdf5Reader& reader, const std::string& name, const Shape& shape) {
  if (reader.shape(name) != shape) {
    throw Error("{}: {} is [{}], the coordinates ask for [{}]", reader.file().string(), name,
                fmt::join(reader.shape(name), ", "), fmt::join(shape, ", "));
  }
  return reader.read<double>(name);
}

nlohmann::json read_object(const Hdf5Reader& reader, const std::string& name) {
  nlohmann::json object = parse_json(reader.text_attribute("/lossatlas", name));
  if (!object.is_object()) throw Error("{}: /lossatlas@{} is not a JSON object", reader.file().string(), name);
  return object;
}

std::vector<std::int64_t> read_images(const Hdf5Reader& reader, const std::string& name, const Shape& shape) {
  std::vector<std::int64_t> images;
  for (const double value : read_grid(reader, name, shape)) {
    if (!(value >= 0 && value < 1e15)) throw Error("{}: {} holds {}", reader.file().string(), name, value);
    images.push_back(static_cast<std::int64_t>(value));
  }
  return images;
}

std::vector<PointState> read_states(const Hdf5Reader& reader, const std::string& name, const Shape& shape) {
  std::vector<PointState> states;
  for (const double value : read_grid(reader, name, shape)) {
    if (value != 0 && value != 1 && value != 2) {
      throw Error("{}: {} holds {}, which is no state of a point", reader.file().string(), name, value);
    }
    states.push_back(static_cast<PointState>(value));
  }
  return states;
}

/// Values that tomgoldstein/loss-landscape marks with -1 were not evaluated.
void unmark(Surface& surface) {
  const auto evaluated = evaluated_of(surface.loss);
  for (std::size_t i = 0; i < surface.size(); ++i) {
    surface.state[i] = static_cast<PointState>(evaluated[i]);
    if (!evaluated[i]) surface.loss[i] = surface.accuracy[i] = std::numeric_limits<double>::quiet_NaN();
  }
}

/// What the settings tell of a file's values: a stranger's words, until they are checked.
struct Contents {
  std::size_t repeats = 1;
  std::vector<std::int64_t> levels;
  std::vector<std::string> more_names;
};

Contents contents_of(const Hdf5Reader& reader, const nlohmann::json& settings) {
  const auto repeats = settings.value(key_of(&Settings::repeat), nlohmann::json(1));
  const auto names = settings.value(key_of(&Settings::more), nlohmann::json::array());
  const auto levels = stored(settings, key_of(&Settings::levels));
  const auto is_text = [](const nlohmann::json& name) { return name.is_string(); };
  const auto is_count = [](const nlohmann::json& value) { return value.is_number_integer() && value >= 1; };
  if (!is_count(repeats) || repeats > 1'000'000) {
    throw Error("{}: {} is no number of repeats", reader.file().string(), json_text(repeats));
  }
  if (!names.is_array() || !std::all_of(names.begin(), names.end(), is_text)) {
    throw Error("{}: the setting more is no list of names", reader.file().string());
  }
  if (!levels.is_null() &&
      (!levels.is_array() || levels.empty() || !std::all_of(levels.begin(), levels.end(), is_count))) {
    throw Error("{}: the setting levels is no list of numbers of images", reader.file().string());
  }
  return {repeats.get<std::size_t>(), levels_of(settings), names.get<std::vector<std::string>>()};
}

/// The landscape's values at marked points, where the file has them.
struct PlaneValues {
  std::string name;
  double MarkedPoint::*member;
};

std::vector<PlaneValues> plane_values(const Surface& surface) {
  const PathValues own = path_values(surface.split), test = path_values(Split::test, true);
  std::vector<PlaneValues> values{{own.plane_loss, &MarkedPoint::plane_loss},
                                  {own.plane_accuracy, &MarkedPoint::plane_accuracy}};
  if (!surface.has_both_splits()) return values;
  values.push_back({test.plane_loss, &MarkedPoint::plane_test_loss});
  values.push_back({test.plane_accuracy, &MarkedPoint::plane_test_accuracy});
  return values;
}

/// The checkpoints that are marked in the file, if any.
void read_points(const Hdf5Reader& reader, Surface& surface) {
  const std::string group = std::string(kPoints) + "/";
  if (!reader.has(group + "name")) return;
  const auto names = reader.read_texts(group + "name");
  surface.points.resize(names.size());
  const auto read = [&](const std::string& name, double MarkedPoint::*member) {
    if (!reader.has(group + name)) return;
    const auto values = read_grid(reader, group + name, {names.size()});
    for (std::size_t i = 0; i < values.size(); ++i) surface.points[i].*member = values[i];
  };
  for (std::size_t i = 0; i < names.size(); ++i) surface.points[i].name = names[i];
  read("x", &MarkedPoint::x);
  read("y", &MarkedPoint::y);
  read("distance", &MarkedPoint::distance);
  const std::string split(name_of(surface.split));
  read(split + "_loss", &MarkedPoint::loss);
  read(split + "_acc", &MarkedPoint::accuracy);
  if (surface.has_both_splits()) {
    read("test_loss", &MarkedPoint::test_loss);
    read("test_acc", &MarkedPoint::test_accuracy);
  }
  for (const auto& [name, member] : plane_values(surface)) read(name, member);
  const std::string object(kPoints);
  if (reader.has_attribute(object, "unit")) surface.unit = reader.number_attribute(object, "unit");
}

/// The pilot of a surface in levels, as far as it is there.
void read_pilot(const Hdf5Reader& reader, Surface& surface) {
  const std::string group(kPilot), split(name_of(surface.split));
  if (!reader.has(group + "point")) return;
  const auto points = reader.read<std::int64_t>(group + "point");
  const std::size_t images = surface.samples.size();
  const auto losses = read_grid(reader, group + split + "_loss", {points.size(), images});
  const auto correct = reader.read<std::uint8_t>(group + split + "_correct");
  const auto is_on_grid = [&](std::int64_t point) {
    return point >= 0 && point < static_cast<std::int64_t>(surface.grid_size());
  };
  if (correct.size() != losses.size() || !std::all_of(points.begin(), points.end(), is_on_grid)) {
    throw Error("{}: {} does not fit its surface", reader.file().string(), group);
  }
  for (std::size_t k = 0; k < points.size(); ++k) {
    const auto first = static_cast<std::ptrdiff_t>(k * images), end = first + static_cast<std::ptrdiff_t>(images);
    surface.pilot.push_back(
        {static_cast<std::size_t>(points[k]),
         {{losses.begin() + first, losses.begin() + end}, {correct.begin() + first, correct.begin() + end}}});
  }
}

/// The curves that are drawn in the file's plane, if any.
void read_curves(const Hdf5Reader& reader, Surface& surface) {
  const std::string group(kCurves.substr(0, kCurves.size() - 1));
  if (!reader.has(group)) return;
  for (const std::string& name : reader.members(group)) {
    const std::string place = std::string(kCurves) + name + "/";
    const Shape shape = reader.shape(place + "t");
    surface.curves.push_back({name, read_grid(reader, place + "t", shape), read_grid(reader, place + "x", shape),
                              read_grid(reader, place + "y", shape)});
  }
}

/// Values of `layers` layers, each dataset at the path that `place` gives to its name.
template <class Place>
Surface read_values(const Hdf5Reader& reader, const Form& form, const std::vector<std::string>& more_names,
                    std::size_t layers, const Shape& shape, const Place& place) {
  for (const auto& name : more_names) {
    if (!reader.has(place(name))) throw Error("{}: has no {}", reader.file().string(), place(name));
  }
  const Names names(form.split);
  // Before the surface takes memory for all its points: long axes in a small file multiply to far more than it holds.
  auto loss = read_grid(reader, place(names.loss), shape);
  Surface surface(form.x, form.y, form.split, more_names, layers);
  surface.kind = form.kind;
  surface.loss = std::move(loss);
  surface.accuracy = read_grid(reader, place(names.accuracy), shape);
  surface.loss_se = read_grid(reader, place(names.loss_se), shape);
  surface.accuracy_se = read_grid(reader, place(names.accuracy_se), shape);
  surface.state = read_states(reader, place(names.evaluated), shape);
  for (auto& [name, values] : surface.more) values = read_grid(reader, place(name), shape);
  surface.samples = reader.read<std::int64_t>("/lossatlas/samples_" + std::string(name_of(form.split)));
  if (reader.has(place(names.images))) {
    surface.images = read_images(reader, place(names.images), shape);
  } else {  // files of before there was such a dataset: all images made each value
    const auto all = static_cast<std::int64_t>(surface.samples.size());
    for (std::size_t i = 0; i < surface.size(); ++i) {
      if (surface.state[i] != PointState::missing) surface.images[i] = all;
    }
  }
  return surface;
}

/// Curve and line as two layers.
Surface read_curve(const Hdf5Reader& reader, const Form& form, const std::vector<std::string>& more_names) {
  const Shape shape = shape_of(form);
  const std::array ways{read_values(reader, form, more_names, 1, shape, at_root),
                        read_values(reader, form, more_names, 1, shape,
                                    [](const std::string& name) { return std::string(kLinear) + name; })};
  Surface both = empty_like(ways[kCurveLayer], ways.size());
  both.samples = ways[kCurveLayer].samples;
  for (std::size_t layer = 0; layer < ways.size(); ++layer) {
    for (std::size_t i = 0; i < form.x.points; ++i) {
      if (ways[layer].state[i] == PointState::missing) continue;
      both.set(both.index_in(layer, i), ways[layer].at(i));
    }
  }
  return both;
}

/// The values that one of our files holds: all layers of them, or what levels add up to.
Surface read_own(const Hdf5Reader& reader, const Form& form, bool wants_levels) {
  const Split split = form.split;
  check_format(reader);
  const auto settings = read_object(reader, "settings");
  auto [repeats, levels, more_names] = contents_of(reader, settings);
  const bool has_levels = !levels.empty();
  if (has_levels && !wants_levels) more_names.push_back(error_name(split));
  const std::size_t layers = !has_levels ? repeats : wants_levels ? levels.size() : 1;
  const bool is_flat = has_levels ? !wants_levels : layers == 1;
  const Shape shape = shape_of(form, is_flat ? 0 : layers);
  const auto place = [&, group = group_of_layers(form.kind, has_levels)](const std::string& name) {
    return is_flat ? at_root(name) : group + name;
  };
  Surface surface = form.kind == SurfaceKind::curve ? read_curve(reader, form, more_names)
                                                    : read_values(reader, form, more_names, layers, shape, place);
  if (wants_levels) {
    surface.levels = levels;
    read_pilot(reader, surface);
  }
  if (surface.has_both_splits()) surface.test_samples = reader.read<std::int64_t>("/lossatlas/samples_test");
  read_points(reader, surface);
  read_curves(reader, surface);
  surface.trajectory = read_trajectory(reader);
  surface.settings = settings;
  surface.provenance = read_object(reader, "provenance");
  if (reader.has_attribute("/lossatlas", "centre_check")) surface.centre_check = read_object(reader, "centre_check");
  return surface;
}

/// A surface of tomgoldstein/loss-landscape.
Surface read_theirs(const Hdf5Reader& reader, const Form& form) {
  const Names names(form.split);
  const auto read = [&](const std::string& name) {
    const Shape shape = shape_of(form), turned(shape.rbegin(), shape.rend());
    // Its writer shapes arrays [nx, ny] and fills them in the order of [ny, nx].
    return read_grid(reader, name, reader.shape(name) == turned ? turned : shape);
  };
  auto loss = read("/" + names.loss);
  Surface surface(form.x, form.y, form.split);
  surface.kind = form.kind;
  surface.loss = std::move(loss);
  if (reader.has("/" + names.accuracy)) surface.accuracy = read("/" + names.accuracy);
  unmark(surface);
  return surface;
}

/// The standard deviation of a value over the repeats at each point of their mean.
std::vector<double> spread_of_repeats(const Surface& all, const std::vector<double>& values, const Surface& mean,
                                      const std::vector<double>& means) {
  std::vector<double> spread(mean.size(), std::numeric_limits<double>::quiet_NaN());
  for (std::size_t i = 0; i < mean.size(); ++i) {
    double squares = 0;
    for (std::size_t at = i; at < all.size(); at += mean.size()) {
      squares += (values[at] - means[i]) * (values[at] - means[i]);
    }
    if (mean.state[i] != PointState::missing) spread[i] = std::sqrt(squares / static_cast<double>(all.layers - 1));
  }
  return spread;
}

void write_root(Hdf5Writer& writer, const Surface& surface) {
  write_values(writer, surface, shape_of(surface), at_root);
  write_coordinates(writer, surface);
  if (surface.is_flat()) return;
  std::vector<std::string> images;
  for (const std::string& split : splits_of(surface)) images.insert(images.end(), {split + "_loss", split + "_acc"});
  write_vtkhdf(writer, surface.x.coordinates(), surface.y.coordinates(), images);
}

void write_layers(Hdf5Writer& writer, const Surface& surface) {
  const std::string group = group_of_layers(surface.kind, !surface.levels.empty());
  write_values(writer, surface, shape_of(surface, surface.layers),
               [&](const std::string& name) { return group + name; });
}

/// The curve at the root, the line beside it.
void write_curve(Hdf5Writer& writer, const Surface& surface) {
  write_root(writer, repeat_of(surface, kCurveLayer));
  write_values(writer, repeat_of(surface, kLineLayer), shape_of(surface),
               [](const std::string& name) { return std::string(kLinear) + name; });
}

/// The mean at the root, where every reader finds a surface; each repeat by itself, and their spread, under /lossatlas.
void write_repeats(Hdf5Writer& writer, const Surface& surface) {
  const Surface mean = mean_of_repeats(surface);
  write_root(writer, mean);
  write_layers(writer, surface);
  const auto write_spread = [&](const std::string& name, const std::vector<double>& values,
                                const std::vector<double>& means) {
    const std::string spread = "/lossatlas/" + name + "_spread";
    writer.write<double>(spread, spread_of_repeats(surface, values, mean, means), shape_of(surface));
    attach_scales(writer, spread, surface);
  };
  write_spread(Names(surface.split).loss, surface.loss, mean.loss);
  if (surface.has_both_splits()) write_spread("test_loss", surface.values_of("test_loss"), mean.values_of("test_loss"));
}

void write_points(Hdf5Writer& writer, const Surface& surface) {
  if (surface.points.empty()) return;
  const std::string group = std::string(kPoints) + "/";
  const auto write = [&](const std::string& name, double MarkedPoint::*member) {
    std::vector<double> values;
    for (const MarkedPoint& point : surface.points) values.push_back(point.*member);
    writer.write<double>(group + name, values, {values.size()});
  };
  std::vector<std::string> names;
  for (const MarkedPoint& point : surface.points) names.push_back(point.name);
  writer.write_texts(group + "name", names);
  write("x", &MarkedPoint::x);
  if (!surface.is_flat()) write("y", &MarkedPoint::y);
  write("distance", &MarkedPoint::distance);
  const std::string split(name_of(surface.split));
  write(split + "_loss", &MarkedPoint::loss);
  write(split + "_acc", &MarkedPoint::accuracy);
  if (surface.has_both_splits()) {
    write("test_loss", &MarkedPoint::test_loss);
    write("test_acc", &MarkedPoint::test_accuracy);
  }
  const auto is_known = [](const MarkedPoint& point) { return !std::isnan(point.plane_accuracy); };
  if (std::any_of(surface.points.begin(), surface.points.end(), is_known)) {
    for (const auto& [name, member] : plane_values(surface)) write(name, member);
  }
  if (!std::isnan(surface.unit)) writer.attribute<double>(std::string(kPoints), "unit", std::array{surface.unit});
}

void write_curves(Hdf5Writer& writer, const Surface& surface) {
  for (const PlaneCurve& curve : surface.curves) {
    const std::string place = std::string(kCurves) + curve.name + "/";
    writer.write<double>(place + "t", curve.t, {curve.t.size()});
    writer.write<double>(place + "x", curve.x, {curve.x.size()});
    writer.write<double>(place + "y", curve.y, {curve.y.size()});
  }
}

void write_pilot(Hdf5Writer& writer, const Surface& surface) {
  if (surface.pilot.empty()) return;
  std::vector<std::int64_t> points;
  std::vector<double> losses;
  std::vector<std::uint8_t> correct;
  for (const auto& [point, images] : surface.pilot) {
    points.push_back(static_cast<std::int64_t>(point));
    losses.insert(losses.end(), images.losses.begin(), images.losses.end());
    correct.insert(correct.end(), images.is_correct.begin(), images.is_correct.end());
  }
  const std::string group(kPilot), split(name_of(surface.split));
  const Shape shape{points.size(), surface.samples.size()};
  writer.write<std::int64_t>(group + "point", points, {points.size()});
  writer.write<double>(group + split + "_loss", losses, shape);
  writer.write<std::uint8_t>(group + split + "_correct", correct, shape);
}

/// What a file holds besides its values: what is known of `surface`, and the numbers of what is `shown` of it.
void finish(Hdf5Writer& writer, const std::filesystem::path& file, const Surface& surface, const Surface& shown) {
  const std::array<std::int64_t, 1> format{kFileFormat};
  writer.write<std::int64_t>("/lossatlas/samples_" + std::string(name_of(surface.split)), surface.samples,
                             {surface.samples.size()});
  if (surface.has_both_splits()) {
    writer.write<std::int64_t>("/lossatlas/samples_test", surface.test_samples, {surface.test_samples.size()});
  }
  write_points(writer, surface);
  write_curves(writer, surface);
  write_trajectory(writer, surface.trajectory);
  writer.write_text("/dir_file", surface.direction_file);
  writer.attribute<std::int64_t>("/lossatlas", "format", format);
  writer.attribute("/lossatlas", "kind", name_of(surface.kind));
  writer.attribute("/lossatlas", "settings", json_text(surface.settings));
  writer.attribute("/lossatlas", "provenance", json_text(surface.provenance));
  if (!surface.centre_check.is_null()) {
    writer.attribute("/lossatlas", "centre_check", json_text(surface.centre_check));
  }
  const auto& states = shown.state;
  const bool complete = std::find(states.begin(), states.end(), PointState::missing) == states.end();
  if (complete) writer.attribute("/lossatlas", "summary", json_text(summary_json(shown)));
  writer.save(file);
}

Surface read_any(const std::filesystem::path& file, bool wants_levels) {
  const Hdf5Reader reader(file);
  const bool is_line = !reader.has("/ycoordinates");
  const Split split = reader.has("/train_loss") ? Split::train : Split::test;
  const std::string prefix(name_of(split));
  if (!reader.has("/xcoordinates") || !reader.has("/" + prefix + "_loss")) {
    throw Error(
        "{}: no surface or line (wants xcoordinates, ycoordinates unless it is a line, and train_loss or test_loss; it "
        "holds {})",
        file.string(), fmt::join(reader.members("/"), ", "));
  }
  const Axis x = read_axis(reader, "/xcoordinates"), y = is_line ? Axis{0, 0, 1} : read_axis(reader, "/ycoordinates");
  const bool is_curve =
      reader.has_attribute("/lossatlas", "kind") && reader.text_attribute("/lossatlas", "kind") == "path";
  const SurfaceKind kind = is_curve ? SurfaceKind::curve : is_line ? SurfaceKind::line : SurfaceKind::surface;
  const Form form{kind, x, y, split};
  Surface surface = reader.has("/lossatlas") ? read_own(reader, form, wants_levels) : read_theirs(reader, form);
  if (reader.has("/dir_file")) surface.direction_file = reader.read_text("/dir_file");
  return surface;
}

}  // namespace

void write_surface(const std::filesystem::path& file, const Surface& surface) {
  Hdf5Writer writer;
  if (surface.kind == SurfaceKind::curve) {
    write_curve(writer, surface);
  } else if (surface.layers == 1) {
    write_root(writer, surface);
  } else {
    write_repeats(writer, surface);
  }
  finish(writer, file, surface, surface);
}

void write_surface(const std::filesystem::path& file, const Surface& levels, const Surface& shown) {
  Hdf5Writer writer;
  write_root(writer, shown);
  write_layers(writer, levels);
  write_pilot(writer, levels);
  finish(writer, file, levels, shown);
}

Surface read_surface(const std::filesystem::path& file) { return read_any(file, false); }

Surface read_layers(const std::filesystem::path& file) { return read_any(file, true); }

std::vector<std::int64_t> levels_of(const nlohmann::json& settings) {
  const auto levels = settings_from(settings).levels;
  return levels ? levels->value.value_or(std::vector<std::int64_t>{}) : std::vector<std::int64_t>{};
}

std::size_t layers_of(const nlohmann::json& settings) {
  const auto levels = levels_of(settings);
  const Settings all = settings_from(settings);
  if (all.kind == name_of(SurfaceKind::curve)) return 2;
  return levels.empty() ? all.repeat.value_or(1) : levels.size();
}

}  // namespace lossatlas
