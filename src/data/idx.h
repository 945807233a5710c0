#pragma once

#include <filesystem>

#include "data/data_set.h"

namespace lossatlas {

/// MNIST and what looks like it (Fashion-MNIST, KMNIST): train-images-idx3-ubyte and train-labels-idx1-ubyte, of the
/// test split t10k-…, plain or with .gz, in the folder, or in MNIST/raw, FashionMNIST/raw or KMNIST/raw as torchvision
/// keeps them. Images are [1, H, W]; there are as many classes as the largest label of both splits requires, at
/// least 10. Normalization as PyTorch's own example of MNIST: mean 0.1307, deviation 0.3081.
DataSet load_idx(const std::filesystem::path& folder, Split split);

/// The files of both splits that are there.
std::vector<std::filesystem::path> idx_files(const std::filesystem::path& folder);

}  // namespace lossatlas
