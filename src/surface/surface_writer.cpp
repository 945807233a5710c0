#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <type_traits>
#include <utility>

#include "base/json.h"
#include "storage/format.h"
#include "storage/grid.h"
#include "storage/hdf5.h"
#include "surface/schema.h"
#include "surface/summary.h"
#include "surface/surface_file.h"

namespace lossatlas {
namespace {

std::vector<std::uint8_t> numbers_of(const std::vector<PointState>& states) {
  std::vector<std::uint8_t> numbers;
  for (const PointState point : states) numbers.push_back(static_cast<std::uint8_t>(point));
  return numbers;
}

/// [n_N, …, n_y, n_x], of several members with their number in front.
Shape shape_of(const Surface& surface) {
  Shape shape = surface.grid.shape();
  if (!surface.is_single()) shape.insert(shape.begin(), surface.members());
  return shape;
}

/// All values, each dataset at the path that `place` gives to its name.
template <class Place>
void write_values(Hdf5Writer& writer, const Surface& surface, const Place& place) {
  const Shape shape = shape_of(surface);
  for (const auto& [measure, values, standard_errors] : surface.fields) {
    writer.write<double>(place(measure.name), values, shape);
    if (measure.has_error) writer.write<double>(place(error_dataset(measure)), standard_errors, shape);
  }
  for (const Samples& samples : surface.samples) {
    writer.write<std::int64_t>(place(counts_dataset(samples.split)), samples.counts, shape);
  }
  writer.write<std::uint8_t>(place("evaluated"), numbers_of(surface.state), shape);
}

/// Names of the datasets over the grid.
std::vector<std::string> datasets_of(const Surface& surface) {
  std::vector<std::string> names{"evaluated"};
  for (const Measure& measure : surface.measures()) {
    names.push_back(measure.name);
    if (measure.has_error) names.push_back(error_dataset(measure));
  }
  for (const Samples& samples : surface.samples) names.push_back(counts_dataset(samples.split));
  return names;
}

void attach_scales(Hdf5Writer& writer, const std::string& dataset, const Grid& grid) {
  const auto last = static_cast<unsigned>(grid.dimensions() - 1);
  for (unsigned k = 0; k <= last; ++k) writer.attach_scale(dataset, last - k, scale_dataset(k));
}

void write_coordinates(Hdf5Writer& writer, const Surface& surface) {
  for (std::size_t k = 0; k < surface.grid.dimensions(); ++k) {
    write_axis(writer, coordinates_dataset(k), scale_dataset(k), meaning_of(surface, k),
               surface.grid.axes[k].coordinates());
  }
  for (const auto& name : datasets_of(surface)) attach_scales(writer, at_root(name), surface.grid);
}

/// What ParaView shows: loss and accuracy.
std::vector<std::string> names_at_root(const Surface& surface) {
  std::vector<std::string> names;
  for (const Measure& measure : surface.measures()) {
    if (at_root(measure.name) == "/" + measure.name) names.push_back(measure.name);
  }
  return names;
}

void write_root(Hdf5Writer& writer, const Surface& surface) {
  write_values(writer, surface, at_root);
  write_coordinates(writer, surface);
  for (const auto& name : names_at_root(surface)) {
    const Measure measure = measure_of(name);
    writer.attribute("/" + name, "long_name", fmt::format("{} {}", name_of(*measure.split), measure.kind));
    if (measure.kind == "accuracy") writer.attribute("/" + name, "units", "percent");
  }
  std::vector<std::vector<double>> axes;
  for (const Axis& axis : surface.grid.axes) axes.push_back(axis.coordinates());
  write_vtkhdf(writer, axes, names_at_root(surface));
}

void write_members(Hdf5Writer& writer, const Surface& surface) {
  write_values(writer, surface, [group = group_of(surface.form)](const std::string& name) { return group + name; });
}

/// The standard deviation of a value over the members at each point of their mean.
std::vector<double> spread_of(const Surface& all, const std::vector<double>& values, const Surface& mean,
                              const std::vector<double>& means) {
  std::vector<double> spread(mean.size(), kNotKnown);
  for (std::size_t i = 0; i < mean.size(); ++i) {
    double squares = 0;
    for (std::size_t at = i; at < all.size(); at += mean.size()) {
      squares += (values[at] - means[i]) * (values[at] - means[i]);
    }
    if (mean.state[i] != PointState::missing) spread[i] = std::sqrt(squares / static_cast<double>(all.members() - 1));
  }
  return spread;
}

/// The mean at the root, where every reader finds a surface; each member by itself, and their spread, under /lossatlas.
void write_mean(Hdf5Writer& writer, const Surface& surface) {
  const Surface mean = mean_of(surface);
  write_root(writer, mean);
  write_members(writer, surface);
  for (const Samples& samples : surface.samples) {
    const std::string loss = measure_name("loss", samples.split), spread = "/lossatlas/" + loss + "_spread";
    writer.write<double>(spread, spread_of(surface, surface.values_of(loss), mean, mean.values_of(loss)),
                         surface.grid.shape());
    attach_scales(writer, spread, surface.grid);
  }
}

/// The curve at the root, the straight line beside it.
void write_curve(Hdf5Writer& writer, const Surface& surface) {
  write_root(writer, member_of(surface, kCurveMember));
  write_values(writer, member_of(surface, kChordMember),
               [](const std::string& name) { return std::string(kLinear) + name; });
}

/// The eigenvalues under Li et al.'s names, at the root; the rest under /lossatlas.
void write_maps(Hdf5Writer& writer, const Surface& surface) {
  const EigenMaps& maps = *surface.maps;
  const Shape shape = surface.grid.shape();
  const auto write = [&](const std::string& place, const std::vector<double>& values, std::string_view definition) {
    writer.write<double>(place, values, shape);
    writer.attribute(place, "definition", definition);
  };
  write("/max_eig", maps.largest, "largest eigenvalue of the Hessian of the mean loss");
  write("/min_eig", maps.smallest, "smallest eigenvalue of the Hessian of the mean loss");
  write("/lossatlas/eig_ratio", maps.ratios(), "|min_eig / max_eig| (Li et al. 2018, figure 7)");
  write("/lossatlas/max_eig_residual", maps.largest_residuals, "‖Hv − λv‖, v of unit length");
  write("/lossatlas/min_eig_residual", maps.smallest_residuals, "‖Hv − λv‖, v of unit length");
  writer.write<std::uint8_t>("/lossatlas/curvature/rows", maps.done, {maps.done.size()});
  const std::array products{static_cast<std::int64_t>(maps.products)}, batch{maps.batch_size};
  writer.attribute<std::int64_t>("/lossatlas/curvature/rows", "products", products);
  writer.attribute<std::int64_t>("/lossatlas/curvature/rows", "batch_size", batch);
}

void write_points(Hdf5Writer& writer, const Surface& surface) {
  if (surface.points.empty()) return;
  const std::string group = std::string(kPoints) + "/";
  const auto write = [&](const std::string& name, const auto& value_of) {
    std::vector<double> values;
    for (const MarkedPoint& point : surface.points) values.push_back(value_of(point));
    writer.write<double>(group + name, values, {values.size()});
  };
  std::vector<std::string> names;
  for (const MarkedPoint& point : surface.points) names.push_back(point.name);
  writer.write_texts(group + "name", names);
  for (std::size_t k = 0; k < surface.grid.dimensions(); ++k) {
    write(axis_name(k), [k](const MarkedPoint& point) { return point.coordinates[k]; });
  }
  write("distance", [](const MarkedPoint& point) { return point.distance; });
  for (std::size_t s = 0; s < surface.samples.size(); ++s) {
    const PathValues values = path_values(surface.samples[s].split, s > 0);
    const auto is_known = [&](const MarkedPoint& point) { return point.values.contains(values.plane_loss); };
    std::vector<std::string> datasets{values.loss, values.accuracy};
    if (std::any_of(surface.points.begin(), surface.points.end(), is_known)) {
      datasets.insert(datasets.end(), {values.plane_loss, values.plane_accuracy});
    }
    for (const auto& dataset : datasets) {
      write(dataset, [&](const MarkedPoint& point) { return point.value(dataset); });
    }
  }
  if (!std::isnan(surface.unit)) writer.attribute<double>(kPoints, "unit", std::array{surface.unit});
}

void write_curves(Hdf5Writer& writer, const Surface& surface) {
  for (const PlaneCurve& curve : surface.curves) {
    const std::string place = fmt::format("{}/{}/", kCurves, curve.name);
    writer.write<double>(place + "t", curve.t, {curve.t.size()});
    writer.write<double>(place + "x", curve.x, {curve.x.size()});
    writer.write<double>(place + "y", curve.y, {curve.y.size()});
  }
}

void write_pilot(Hdf5Writer& writer, const Surface& surface) {
  const auto& pilot = surface.levels()->pilot;
  if (pilot.empty()) return;
  std::vector<std::int64_t> points;
  std::vector<double> losses;
  std::vector<std::uint8_t> correct;
  for (const auto& [point, images] : pilot) {
    points.push_back(static_cast<std::int64_t>(point));
    losses.insert(losses.end(), images.losses.begin(), images.losses.end());
    correct.insert(correct.end(), images.is_correct.begin(), images.is_correct.end());
  }
  const std::string group(kPilot), split(name_of(surface.split()));
  const Shape shape{points.size(), surface.samples[0].indices.size()};
  writer.write<std::int64_t>(group + "point", points, {points.size()});
  writer.write<double>(group + split + "_loss", losses, shape);
  if (!correct.empty()) writer.write<std::uint8_t>(group + split + "_correct", correct, shape);
}

/// What a file holds besides its values: what is known of `surface`, and the numbers of what is `shown` of it.
void finish(Hdf5Writer& writer, const std::filesystem::path& file, const Surface& surface, const Surface& shown) {
  const std::array<std::int64_t, 1> format{kFileFormat};
  for (const Samples& samples : surface.samples) {
    writer.write<std::int64_t>("/lossatlas/samples_" + std::string(name_of(samples.split)), samples.indices,
                               {samples.indices.size()});
  }
  write_points(writer, surface);
  write_curves(writer, surface);
  write_trajectory(writer, surface.trajectory);
  writer.write_text("/dir_file", surface.direction_file);
  writer.attribute<std::int64_t>("/lossatlas", "format", format);
  writer.attribute("/lossatlas", "kind", kind_of(surface));
  writer.attribute("/lossatlas", "axes", json_text(axes_json(surface)));
  writer.attribute("/lossatlas", "measures", json_text(measures_json(shown)));
  writer.attribute("/lossatlas", "settings", json_text(surface.settings));
  writer.attribute("/lossatlas", "provenance", json_text(surface.provenance));
  if (!surface.centre_check.is_null()) {
    writer.attribute("/lossatlas", "centre_check", json_text(surface.centre_check));
  }
  if (!surface.axis_curvatures.empty()) {
    writer.attribute("/lossatlas", "axis_curvatures", json_text(axis_curvatures_json(surface.axis_curvatures)));
  }
  if (surface.maps) write_maps(writer, surface);
  if (shown.missing() == 0) writer.attribute("/lossatlas", "summary", json_text(summary_json(shown)));
  writer.save(file);
}

}  // namespace

void write_surface(const std::filesystem::path& file, const Surface& surface) {
  Hdf5Writer writer;
  if (surface.is_curve()) {
    write_curve(writer, surface);
  } else if (surface.is_single()) {
    write_root(writer, surface);
  } else {
    write_mean(writer, surface);
  }
  finish(writer, file, surface, surface);
}

void write_surface(const std::filesystem::path& file, const Surface& levels, const Surface& shown) {
  Hdf5Writer writer;
  write_root(writer, shown);
  write_members(writer, levels);
  write_pilot(writer, levels);
  finish(writer, file, levels, shown);
}

}  // namespace lossatlas
