#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "export/column.h"

namespace lossatlas {

/// Places in a plane: the checkpoints of a run, a curve between minima, the steps of a descent, or marked checkpoints.
struct Path {
  std::string name;
  bool is_line = true;                     // false: single places
  bool are_checkpoints = true;             // or steps; false: places of a curve
  std::vector<double> x, y;                // in multiples of the directions; no y where the file has one coordinate
  std::vector<std::string> labels;         // of each place: a file or a name; or none
  std::vector<Column> columns;             // values at each place
  std::vector<std::string> left_out = {};  // datasets that give no columns, and why
};

/// The runs of a file (/lossatlas/runs, in their order), its curves (/lossatlas/curves), descents (/lossatlas/descents,
/// with a column "step") and marked checkpoints (/lossatlas/points); nothing if it has none. Throws Error if one
/// is damaged.
std::vector<Path> read_paths(const std::filesystem::path& file);

}  // namespace lossatlas
