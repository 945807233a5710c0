#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "landscape/surface.h"
#include "storage/hdf5.h"

namespace lossatlas {
namespace {

/// The root datasets carry tomgoldstein/loss-landscape's names, the rest of ours stands under /lossatlas.
void write_values(Hdf5Writer& writer, const Surface& surface) {
  const Shape shape{surface.y.points, surface.x.points};
  const std::string split(name_of(surface.split));
  std::vector<std::uint8_t> state;
  for (const PointState point : surface.state) state.push_back(static_cast<std::uint8_t>(point));
  writer.write<double>("/" + split + "_loss", surface.loss, shape);
  writer.write<double>("/" + split + "_acc", surface.accuracy, shape);
  writer.write<double>("/lossatlas/" + split + "_loss_se", surface.loss_se, shape);
  writer.write<double>("/lossatlas/" + split + "_acc_se", surface.accuracy_se, shape);
  writer.write<std::uint8_t>("/lossatlas/evaluated", state, shape);
  writer.write<std::int64_t>("/lossatlas/samples_" + split, surface.samples, {surface.samples.size()});
}

/// Coordinates twice: Li et al.'s names, and x and y as dimension scales, which name the axes to xarray.
void write_axis(Hdf5Writer& writer, const std::string& name, const std::string& scale, const std::string& meaning,
                const std::vector<double>& values) {
  writer.write<double>(name, values, {values.size()});
  writer.write<double>(scale, values, {values.size()});
  writer.attribute(scale, "long_name", meaning);
  writer.attach_scale(name, 0, scale);
}

void write_coordinates(Hdf5Writer& writer, const Surface& surface) {
  write_axis(writer, "/xcoordinates", "/x", "multiples of direction 1", surface.x.coordinates());
  write_axis(writer, "/ycoordinates", "/y", "multiples of direction 2", surface.y.coordinates());
  const std::string split(name_of(surface.split));
  for (const auto& dataset : {"/" + split + "_loss", "/" + split + "_acc", "/lossatlas/" + split + "_loss_se",
                              "/lossatlas/" + split + "_acc_se", std::string("/lossatlas/evaluated")}) {
    writer.attach_scale(dataset, 0, "/y");
    writer.attach_scale(dataset, 1, "/x");
  }
  writer.attribute("/" + split + "_loss", "long_name", split + " loss");
  writer.attribute("/" + split + "_acc", "long_name", split + " accuracy");
  writer.attribute("/" + split + "_acc", "units", "percent");
}

/// What VTK's vtkHDFReader and ParaView read: an image of nx x ny x 1 points whose data are the root datasets.
void write_vtkhdf(Hdf5Writer& writer, const Surface& surface) {
  if (surface.x.points < 2 || surface.y.points < 2) return;
  const auto last = [](const Axis& axis) { return static_cast<std::int64_t>(axis.points) - 1; };
  const auto step = [&](const Axis& axis) { return (axis.high - axis.low) / static_cast<double>(last(axis)); };
  const std::array<std::int64_t, 2> version{1, 0};
  const std::array<std::int64_t, 6> extent{0, last(surface.x), 0, last(surface.y), 0, 0};
  const std::array<double, 3> origin{surface.x.low, surface.y.low, 0}, spacing{step(surface.x), step(surface.y), 1};
  const std::array<double, 9> direction{1, 0, 0, 0, 1, 0, 0, 0, 1};
  writer.make_group("/VTKHDF");
  writer.attribute<std::int64_t>("/VTKHDF", "Version", version);
  writer.ascii_attribute("/VTKHDF", "Type", "ImageData");
  writer.attribute<std::int64_t>("/VTKHDF", "WholeExtent", extent);
  writer.attribute<double>("/VTKHDF", "Origin", origin);
  writer.attribute<double>("/VTKHDF", "Spacing", spacing);
  writer.attribute<double>("/VTKHDF", "Direction", direction);
  const std::string split(name_of(surface.split));
  for (const auto& name : {split + "_loss", split + "_acc"}) {
    writer.hard_link("/" + name, "/VTKHDF/PointData/" + name);
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

void check_format(const Hdf5Reader& reader) {
  const std::int64_t format = reader.integer_attribute("/lossatlas", "format");
  if (format > kSurfaceFormat) {
    throw Error("{}: surface format {}, this program knows up to {}; use a newer Lossatlas", reader.file().string(),
                format, kSurfaceFormat);
  }
}

nlohmann::json read_object(const Hdf5Reader& reader, const std::string& name) {
  nlohmann::json object = parse_json(reader.text_attribute("/lossatlas", name));
  if (!object.is_object()) throw Error("{}: /lossatlas@{} is not a JSON object", reader.file().string(), name);
  return object;
}

std::vector<PointState> read_states(const Hdf5Reader& reader, const Shape& shape) {
  constexpr std::string_view name = "/lossatlas/evaluated";
  std::vector<PointState> states;
  for (const double value : read_grid(reader, std::string(name), shape)) {
    if (value != 0 && value != 1 && value != 2) {
      throw Error("{}: {} holds {}, which is no state of a point", reader.file().string(), name, value);
    }
    states.push_back(static_cast<PointState>(value));
  }
  return states;
}

/// Values that tomgoldstein/loss-landscape marks with -1 were not evaluated.
void unmark(Surface& surface) {
  for (std::size_t i = 0; i < surface.size(); ++i) {
    const bool missing = surface.loss[i] == -1 || std::isnan(surface.loss[i]);
    surface.state[i] = missing ? PointState::missing : PointState::evaluated;
    if (missing) surface.loss[i] = surface.accuracy[i] = std::numeric_limits<double>::quiet_NaN();
  }
}

void read_own(const Hdf5Reader& reader, const std::string& split, const Shape& shape, Surface& surface) {
  check_format(reader);
  surface.loss_se = read_grid(reader, "/lossatlas/" + split + "_loss_se", shape);
  surface.accuracy_se = read_grid(reader, "/lossatlas/" + split + "_acc_se", shape);
  surface.state = read_states(reader, shape);
  surface.samples = reader.read<std::int64_t>("/lossatlas/samples_" + split);
  surface.settings = read_object(reader, "settings");
  surface.provenance = read_object(reader, "provenance");
}

}  // namespace

void write_surface(const std::filesystem::path& file, const Surface& surface) {
  const std::array<std::int64_t, 1> format{kSurfaceFormat};
  Hdf5Writer writer;
  write_values(writer, surface);
  write_coordinates(writer, surface);
  write_vtkhdf(writer, surface);
  writer.write_text("/dir_file", surface.direction_file);
  writer.attribute<std::int64_t>("/lossatlas", "format", format);
  writer.attribute("/lossatlas", "kind", "surface");
  writer.attribute("/lossatlas", "settings", json_text(surface.settings));
  writer.attribute("/lossatlas", "provenance", json_text(surface.provenance));
  writer.save(file);
}

Surface read_surface(const std::filesystem::path& file) {
  const Hdf5Reader reader(file);
  const bool has_axes = reader.has("/xcoordinates") && reader.has("/ycoordinates");
  const Split split = reader.has("/train_loss") ? Split::train : Split::test;
  const std::string prefix(name_of(split));
  if (!has_axes || !reader.has("/" + prefix + "_loss")) {
    throw Error(
        "{}: no two-dimensional surface (wants xcoordinates, ycoordinates and train_loss or test_loss; it holds "
        "{})",
        file.string(), fmt::join(reader.members("/"), ", "));
  }
  const Axis x = read_axis(reader, "/xcoordinates"), y = read_axis(reader, "/ycoordinates");
  const Shape shape{y.points, x.points};
  // Before the surface takes memory for all its points: long axes in a small file multiply to far more than it holds.
  auto loss = read_grid(reader, "/" + prefix + "_loss", shape);
  Surface surface(x, y, split);
  surface.loss = std::move(loss);
  if (reader.has("/" + prefix + "_acc")) surface.accuracy = read_grid(reader, "/" + prefix + "_acc", shape);
  if (reader.has("/dir_file")) surface.direction_file = reader.read_text("/dir_file");
  if (reader.has("/lossatlas")) {
    read_own(reader, prefix, shape, surface);
  } else {
    unmark(surface);
  }
  return surface;
}

}  // namespace lossatlas
