#pragma once

#include <cstdint>

#include "storage/hdf5.h"

namespace lossatlas {

/// Version of the layout of surfaces, lines and curves that docs/file-format.md describes; the newest of all files with
/// a group /lossatlas.
inline constexpr std::int64_t kFileFormat = 2;
/// That of histories and descents, which have not changed.
inline constexpr std::int64_t kFirstFormat = 1;

/// Throws Error if one of our files is of a newer format than this program knows. Other programs' files pass.
void check_format(const Hdf5Reader& reader);

}  // namespace lossatlas
