#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "export/relief.h"

namespace lossatlas {

/// Lengths of a solid, in millimetres.
struct SolidSize {
  double side = 100;   // the longer side of its base
  double relief = 40;  // from the lowest to the highest point of the surface
  double base = 3;     // under the lowest point
};

/// A closed body: triangles whose corners run counterclockwise as seen from outside.
struct Solid {
  std::vector<std::array<double, 3>> points;  // millimetres; z up, the base on z = 0, its middle at x = y = 0
  std::vector<std::array<std::size_t, 3>> triangles;
};

/// The relief on a base with upright walls. Every edge belongs to two triangles. Holes are filled at the highest value,
/// which is the cut where one was met, and the relief's notes say so. Throws Error if coordinates coincide in single
/// precision.
Solid solid_of(Relief& relief, const SolidSize& size);

/// Binary STL, z up: what programs for printing read. `title`: up to 79 characters of its head.
void write_stl(const std::filesystem::path& file, const Solid& solid, const std::string& title);

/// Wavefront OBJ, y up as that format has it. `title`: a comment.
void write_obj(const std::filesystem::path& file, const Solid& solid, const std::string& title);

}  // namespace lossatlas
