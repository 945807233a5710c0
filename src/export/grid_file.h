#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "export/column.h"

namespace lossatlas {

/// What a file holds over its grid: of surfaces, lines, curves, functions and histories of ours, and of surfaces and
/// lines of tomgoldstein/loss-landscape.
struct GridFile {
  std::filesystem::path file;
  std::vector<Column> axes;         // "x", "y", …, of a history "epoch": coordinates, rising or falling throughout
  std::vector<Column> fields;       // at each point, x fastest: those of the root, then those of /lossatlas; NaN
                                    // where it was not evaluated, and where it is NaN. At least one
  std::vector<std::uint8_t> state;  // of each point: 0 not evaluated, 1 evaluated, 2 reconstructed
  std::vector<std::string> left_out = {};  // datasets that hold no value at each point, and why

  bool is_plane() const { return axes.size() == 2; }
  std::size_t size() const { return state.size(); }
  /// The field of this name; "" is train_loss, else test_loss, else the first. Throws UsageError for a wrong name.
  const Column& field(const std::string& name) const;
};

/// Reads all values over the grid. `draw`, counted from 1, takes one of several pairs of directions (repeats), of the
/// lines of a fan, or of the numbers of images (levels), in place of what the root shows of them. Throws Error for a
/// file without a grid or of a newer format, UsageError if there is no such draw.
GridFile read_grid_file(const std::filesystem::path& file, std::optional<std::size_t> draw = std::nullopt);

/// An axis by its name, and where it is held fixed.
struct FixedAxis {
  std::string name;
  double coordinate;
};

/// Leaves the points of the grid that are nearest to these coordinates, and takes their axes away. Returns notes on
/// coordinates that are not on the grid. Throws UsageError if there is no such axis, or it does not reach so far.
std::vector<std::string> take_slice(GridFile& grid, const std::vector<FixedAxis>& fixed);

}  // namespace lossatlas
