#pragma once

#include <filesystem>
#include <vector>

#include "landscape/direction.h"

namespace lossatlas {

/// Directions in Li et al.'s layout: groups "xdirection" and "ydirection" (the second is absent for a line), each with
/// float32 datasets "0", "1", …, one a parameter in the network's order.
void write_directions(const std::filesystem::path& file, const std::vector<Direction>& directions);

/// Reads one or two directions for a network with these parameters. Throws Error where the file holds another count or
/// other shapes, naming the first that differs.
std::vector<Direction> read_directions(const std::filesystem::path& file, const std::vector<NamedTensor>& parameters);

}  // namespace lossatlas
