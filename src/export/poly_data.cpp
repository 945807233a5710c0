#include "export/poly_data.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/error.h"
#include "base/files.h"

namespace lossatlas {
namespace {

/// Text for an XML attribute. Control characters, which XML cannot hold, become '_'.
std::string xml_text(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&': safe += "&amp;"; break;
      case '<': safe += "&lt;"; break;
      case '"': safe += "&quot;"; break;
      default: safe += static_cast<unsigned char>(c) < 0x20 ? '_' : c;
    }
  }
  return safe;
}

/// The XML in front, and behind it the arrays as raw bytes, each after its length.
class VtpText {
 public:
  static_assert(std::endian::native == std::endian::little);

  template <class T>
  void array(const std::string& name, const std::vector<T>& values, int components = 1) {
    constexpr const char* type = std::is_same_v<T, double>         ? "Float64"
                                 : std::is_same_v<T, std::int64_t> ? "Int64"
                                                                   : "UInt8";
    head_ += fmt::format(
        "<DataArray type=\"{}\" Name=\"{}\" NumberOfComponents=\"{}\" format=\"appended\" offset=\"{}\"/>\n", type,
        xml_text(name), components, data_.size());
    const std::uint64_t bytes = values.size() * sizeof(T);
    append(&bytes, sizeof bytes);
    append(values.data(), bytes);
  }

  void arrays(const std::string& section, const std::vector<NamedArray>& list) {
    if (list.empty()) return;
    head_ += fmt::format("<{} Scalars=\"{}\">\n", section, xml_text(list.front().name));
    for (const auto& [name, values] : list) {
      std::visit([&, &label = name](const auto& numbers) { array(label, numbers); }, values);
    }
    head_ += fmt::format("</{}>\n", section);
  }

  void cells(const std::string& section, const Cells& cells) {
    head_ += fmt::format("<{}>\n", section);
    array("connectivity", cells.connectivity);
    array("offsets", cells.offsets);
    head_ += fmt::format("</{}>\n", section);
  }

  void text(const std::string& line) { head_ += line; }

  void write(const std::filesystem::path& file) const {
    const std::string before = head_ + "<AppendedData encoding=\"raw\">\n_", after = "\n</AppendedData>\n</VTKFile>\n";
    make_folder_of(file);
    write_atomically(file, [&](const ByteSink& sink) {
      for (const std::string* part : {&before, &data_, &after}) sink(std::as_bytes(std::span(*part)));
    });
  }

 private:
  void append(const void* bytes, std::size_t count) { data_.append(static_cast<const char*>(bytes), count); }

  std::string head_, data_;
};

/// The crossings of a segment with the lines of a grid, as parts of its length, with its ends.
std::vector<double> crossings(double x0, double y0, double x1, double y1, const Relief& relief) {
  std::vector<double> parts{0, 1};
  const auto cross = [&](const std::vector<double>& axis, double from, double to) {
    for (const double line : axis) {
      const double part = (line - from) / (to - from);
      if (part > 0 && part < 1) parts.push_back(part);
    }
  };
  cross(relief.x, x0, x1);
  cross(relief.y, y0, y1);
  std::sort(parts.begin(), parts.end());
  parts.erase(std::unique(parts.begin(), parts.end()), parts.end());
  return parts;
}

/// Lays paths on a surface, point by point.
class Draping {
 public:
  Draping(const std::vector<Path>& paths, const Relief& relief, double zscale) : relief_(relief), zscale_(zscale) {
    for (const Path& path : paths) {
      for (const Column& column : path.columns) {
        const bool known =
            std::any_of(columns_.begin(), columns_.end(), [&](const Column& c) { return c.name == column.name; });
        if (!known) columns_.push_back({column.name, {}});
      }
    }
  }

  /// Returns how many of its places are not on the surface.
  std::size_t add(const Path& path, std::int64_t number) {
    std::size_t outside = 0;
    std::vector<std::int64_t> line;
    const auto end_line = [&] {
      if (line.size() > 1) data_.lines.add(line);
      line.clear();
    };
    const auto put = [&](std::size_t i, double part) {
      const double x = between(path.x, i, part), y = between(path.y, i, part), z = relief_.height_at(x, y);
      if (std::isnan(z)) {
        end_line();
        return false;
      }
      const auto point = static_cast<std::int64_t>(height_.size());
      line.push_back(point);
      data_.points.insert(data_.points.end(), {x, y, zscale_ * z});
      height_.push_back(z);
      numbers_.push_back(number);
      is_checkpoint_.push_back(part == 0 && path.are_checkpoints);
      if (is_checkpoint_.back()) data_.verts.add({point});
      for (Column& column : columns_) column.values.push_back(value_of(path, column.name, i, part));
      return true;
    };
    for (std::size_t i = 0; i < path.x.size(); ++i) {
      if (!path.is_line) line.clear();
      if (!put(i, 0)) ++outside;
      if (!path.is_line || i + 1 == path.x.size()) continue;
      for (const double part : crossings(path.x[i], path.y[i], path.x[i + 1], path.y[i + 1], relief_)) {
        if (part > 0 && part < 1) put(i, part);
      }
    }
    if (path.is_line) end_line();
    return outside;
  }

  PolyData finish() {
    data_.point_data.push_back({"zvalue", std::move(height_)});
    data_.point_data.push_back({"path", std::move(numbers_)});
    data_.point_data.push_back({"checkpoint", std::move(is_checkpoint_)});
    for (Column& column : columns_) data_.point_data.push_back({column.name, std::move(column.values)});
    return std::move(data_);
  }

 private:
  static double between(const std::vector<double>& values, std::size_t i, double part) {
    return part == 0 ? values[i] : (1 - part) * values[i] + part * values[i + 1];
  }

  static double value_of(const Path& path, const std::string& name, std::size_t i, double part) {
    for (const Column& column : path.columns) {
      if (column.name == name) return between(column.values, i, part);
    }
    return NAN;
  }

  const Relief& relief_;
  double zscale_;
  PolyData data_;
  std::vector<double> height_;
  std::vector<std::int64_t> numbers_;
  std::vector<std::uint8_t> is_checkpoint_;
  std::vector<Column> columns_;
};

}  // namespace

void Cells::add(const std::vector<std::int64_t>& points) {
  connectivity.insert(connectivity.end(), points.begin(), points.end());
  offsets.push_back(static_cast<std::int64_t>(connectivity.size()));
}

PolyData surface_mesh(const Relief& relief, const std::vector<Column>& others, double zscale) {
  PolyData data;
  const std::size_t nx = relief.x.size(), ny = relief.y.size();
  std::vector<std::int64_t> number(relief.z.size(), -1);  // of each point of the grid in the mesh; -1: a hole
  std::vector<double> heights;
  for (std::size_t i = 0; i < relief.z.size(); ++i) {
    if (std::isnan(relief.z[i])) continue;
    number[i] = static_cast<std::int64_t>(heights.size());
    heights.push_back(relief.z[i]);
    data.points.insert(data.points.end(), {relief.x[i % nx], relief.y[i / nx], zscale * relief.z[i]});
  }
  std::vector<double> means;
  for (std::size_t row = 0; row + 1 < ny; ++row) {
    for (std::size_t column = 0; column + 1 < nx; ++column) {
      const std::size_t i = row * nx + column;
      const std::vector<std::int64_t> corners{number[i], number[i + 1], number[i + nx + 1], number[i + nx]};
      if (std::find(corners.begin(), corners.end(), -1) != corners.end()) continue;
      data.polys.add(corners);
      means.push_back((relief.z[i] + relief.z[i + 1] + relief.z[i + nx] + relief.z[i + nx + 1]) / 4);
    }
  }
  if (data.polys.size() == 0) throw Error("no four neighbouring points have values: nothing to mesh");
  data.point_data.push_back({"zvalue", std::move(heights)});
  for (const Column& field : others) {
    std::vector<double> values;
    for (std::size_t i = 0; i < number.size(); ++i) {
      if (number[i] >= 0) values.push_back(field.values[i]);
    }
    data.point_data.push_back({field.name, std::move(values)});
  }
  data.cell_data.push_back({"averaged zvalue", std::move(means)});
  return data;
}

PolyData paths_on_surface(const std::vector<Path>& paths, const Relief& relief, double zscale,
                          std::vector<std::string>& notes) {
  Draping draping(paths, relief, zscale);
  std::int64_t number = 0;
  for (const Path& path : paths) {
    if (path.y.size() != path.x.size()) throw Error("the path {} has no y", path.name);
    const std::size_t outside = draping.add(path, number++);
    if (outside == 0) continue;
    notes.push_back(
        fmt::format("{} of {} places of {} are not on the surface and left out", outside, path.x.size(), path.name));
  }
  return draping.finish();
}

void write_vtp(const std::filesystem::path& file, const PolyData& data) {
  VtpText vtp;
  vtp.text(
      "<?xml version=\"1.0\"?>\n<VTKFile type=\"PolyData\" version=\"1.0\" byte_order=\"LittleEndian\" "
      "header_type=\"UInt64\">\n<PolyData>\n");
  vtp.text(
      fmt::format("<Piece NumberOfPoints=\"{}\" NumberOfVerts=\"{}\" NumberOfLines=\"{}\" NumberOfStrips=\"0\" "
                  "NumberOfPolys=\"{}\">\n",
                  data.points.size() / 3, data.verts.size(), data.lines.size(), data.polys.size()));
  vtp.arrays("PointData", data.point_data);
  vtp.arrays("CellData", data.cell_data);
  vtp.text("<Points>\n");
  vtp.array("Points", data.points, 3);
  vtp.text("</Points>\n");
  vtp.cells("Verts", data.verts);
  vtp.cells("Lines", data.lines);
  vtp.cells("Polys", data.polys);
  vtp.text("</Piece>\n</PolyData>\n");
  vtp.write(file);
}

}  // namespace lossatlas
