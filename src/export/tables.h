#pragma once

#include <filesystem>
#include <vector>

#include "export/grid_file.h"
#include "export/paths.h"

namespace lossatlas {

/// One line a point, x fastest, under the names of the columns: the coordinates, every field, and `evaluated`. Numbers
/// have the digits that give the same double back; NaN is an empty cell, infinities are inf and -inf. Throws Error
/// if the file cannot be written.
void write_csv(const std::filesystem::path& file, const GridFile& grid);

/// One line a place: the path's name, the place's label, x, y, and the columns of all paths (empty if one lacks it).
void write_csv(const std::filesystem::path& file, const std::vector<Path>& paths);

}  // namespace lossatlas
