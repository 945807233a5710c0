#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <variant>
#include <vector>

#include "export/grid_file.h"
#include "export/paths.h"
#include "export/relief.h"

namespace lossatlas {

/// Values of points or cells, by name.
struct NamedArray {
  std::string name;
  std::variant<std::vector<double>, std::vector<std::int64_t>, std::vector<std::uint8_t>> values;
};

/// Cells of one kind: the points of cell i are connectivity[offsets[i - 1]] … connectivity[offsets[i] - 1].
struct Cells {
  std::vector<std::int64_t> connectivity, offsets;

  void add(const std::vector<std::int64_t>& points);
  std::size_t size() const { return offsets.size(); }
};

/// VTK's polygonal data.
struct PolyData {
  std::vector<double> points;  // [n, 3]
  Cells verts, lines, polys;
  std::vector<NamedArray> point_data, cell_data;
};

/// The surface as tomgoldstein/loss-landscape's h52vtp.py lays it out: points (x, y, height), y outer and x inner; a
/// quadrilateral for each cell of the grid; "zvalue" of each point, "averaged zvalue" of each cell, the mean of its
/// corners. Height is zvalue times `zscale`. Holes have no point, and the cells beside them are left out. `others`:
/// what else each point of the grid has, for a relief that is not interpolated. Throws Error if no cell is whole.
PolyData surface_mesh(const Relief& relief, const std::vector<Column>& others, double zscale);

/// The paths laid on that surface: lines with a point wherever they cross a line of the grid, and a vertex at each
/// checkpoint. "checkpoint" is 1 there and 0 between, "path" the number of the path; the paths' columns are linear
/// between checkpoints, NaN where a path lacks one. Places outside the surface or over a hole are left out, and `notes`
/// says how many.
PolyData paths_on_surface(const std::vector<Path>& paths, const Relief& relief, double zscale,
                          std::vector<std::string>& notes);

/// Writes VTK's XML format (.vtp), numbers as raw bytes. Throws Error if it cannot be written.
void write_vtp(const std::filesystem::path& file, const PolyData& data);

}  // namespace lossatlas
