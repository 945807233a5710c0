#pragma once

#include <filesystem>

#include "data/data_set.h"

namespace lossatlas {

/// CIFAR-10 in the official binary layout: records of one label byte and 3072 pixel bytes ([3, 32, 32]).
/// train: data_batch_1.bin … data_batch_5.bin, in this order; test: test_batch.bin. Files may hold any number of
/// records. Normalization as Li et al. trained: mean 125.3, 123.0, 113.9, deviation 63.0, 62.1, 66.7 (of 255).
DataSet load_cifar10(const std::filesystem::path& folder, Split split);

/// The files of both splits that are there.
std::vector<std::filesystem::path> cifar10_files(const std::filesystem::path& folder);

}  // namespace lossatlas
