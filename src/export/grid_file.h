#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace lossatlas {

/// One value at each point of a grid.
struct Field {
  std::string name;            // of its dataset: "train_loss"
  std::vector<double> values;  // [ny, nx], x fastest, or [nx]; NaN where it was not evaluated, and where it is NaN
};

/// What a file holds over its grid: of surfaces, lines, paths, functions and histories of ours, and of surfaces and
/// lines of tomgoldstein/loss-landscape.
struct GridFile {
  std::filesystem::path file;
  std::string x_name;                      // of the coordinate: "x", of a history "epoch"
  std::vector<double> x, y;                // rising or falling throughout; no y where the file has one coordinate
  std::vector<Field> fields;               // at least one: those of the root, then those of /lossatlas
  std::vector<std::uint8_t> state;         // of each point: 0 not evaluated, 1 evaluated, 2 reconstructed
  std::vector<std::string> left_out = {};  // datasets that hold no value at each point, and why

  bool is_plane() const { return !y.empty(); }
  std::size_t size() const { return state.size(); }
  /// The field of this name; "" is train_loss, else test_loss, else the first. Throws UsageError for a wrong name.
  const Field& field(const std::string& name) const;
};

/// Reads all values over the grid. `draw`, counted from 1, takes one of several pairs of directions (repeats), of the
/// lines of a fan, or of the numbers of images (levels), in place of what the root shows of them. Throws Error for a
/// file without a grid or of a newer format, UsageError where there is no such draw.
GridFile read_grid_file(const std::filesystem::path& file, std::optional<std::size_t> draw = std::nullopt);

}  // namespace lossatlas
