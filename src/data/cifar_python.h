#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/array.h"

namespace lossatlas {

constexpr std::size_t kCifarPixels = 3 * 32 * 32;

/// One file of CIFAR's Python version.
struct CifarBatch {
  Array pixels;                      // uint8, [N, 3072]
  std::vector<std::int64_t> labels;  // [N]
};

/// Reads one: a pickled dictionary of `data`, a NumPy array, and `labels`, a list or an array, under the name `labels`:
/// as Krizhevsky's Python 2 wrote it, or as Python 3 does in protocols 2 to 5. Runs nothing: whatever else the pickle
/// asks for is refused. Throws Error naming the file.
CifarBatch read_cifar_batch(const std::filesystem::path& file, const std::string& labels);

}  // namespace lossatlas
