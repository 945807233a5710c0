#pragma once

#include <filesystem>

#include "surface/surface.h"

namespace lossatlas {

/// Writes the whole file again and renames it into place: readers see the old surface or the new one, never half. Its
/// numbers (summary.h) are stored in it if no point is missing.
void write_surface(const std::filesystem::path& file, const Surface& surface);

/// The same for a surface in levels: `shown` is what they add up to, which every reader finds at the root.
void write_surface(const std::filesystem::path& file, const Surface& levels, const Surface& shown);

/// Reads a surface or a line: ours, or one of tomgoldstein/loss-landscape (evaluated_of decides what its -1 means).
/// Of a surface in levels, what they add up to. Settings are as the present format has them (schema.h). Throws Error
/// for a file that is no surface, and for one of a newer format.
Surface read_surface(const std::filesystem::path& file);

/// The same, but of a surface in levels the levels.
Surface read_members(const std::filesystem::path& file);

}  // namespace lossatlas
