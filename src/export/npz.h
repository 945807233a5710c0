#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace lossatlas {

/// Writes everything that an HDF5 file of ours, or any of plain arrays, holds as a NumPy archive without pickles: each
/// dataset under its path ("train_loss", "lossatlas/evaluated"), with its type (float32, float64, int64, uint8; text as
/// unicode); each attribute of /lossatlas that is one value under its name ("settings": the JSON text), of other groups
/// under path@name. What the file holds twice (/VTKHDF) is left out. The same file gives the same bytes. Returns what
/// else is left out, of other types or attributes of many values. Throws Error.
std::vector<std::string> write_npz(const std::filesystem::path& file, const std::filesystem::path& source);

}  // namespace lossatlas
