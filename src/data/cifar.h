#pragma once

#include <filesystem>

#include "data/data_set.h"

namespace lossatlas {

/// The data sets of Krizhevsky 2009 in their official binary layout: records of label bytes and 3072 pixel bytes
/// ([3, 32, 32]); or, where that is missing, in their Python version, as torchvision keeps them (cifar_python.h): the
/// same names without .bin. Files may hold any number of records.
enum class Cifar {
  ten,             // one label of 10; train: data_batch_1.bin … data_batch_5.bin, in this order; test: test_batch.bin
  hundred,         // the fine label, of 100; train.bin and test.bin
  hundred_coarse,  // the same files; the coarse label, of 20
};

/// In the folder itself, or in the one that the archive unpacks to. Normalization of CIFAR-10 as Li et al. trained:
/// mean 125.3, 123.0, 113.9, deviation 63.0, 62.1, 66.7 (of 255); of CIFAR-100 129.3, 124.1, 112.4
/// and 68.2, 65.4, 70.4, as Zagoruyko and Komodakis 2016.
DataSet load_cifar(Cifar kind, const std::filesystem::path& folder, Split split);

/// The files of both splits that are there.
std::vector<std::filesystem::path> cifar_files(Cifar kind, const std::filesystem::path& folder);

}  // namespace lossatlas
