#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/split.h"

namespace lossatlas {

/// A pixel value p in 0 … 255 enters the network as (p / 255 - mean[c]) / deviation[c], one entry a channel.
struct PixelNormalization {
  std::vector<double> mean;
  std::vector<double> deviation;
};

/// Labelled images in memory, one copy, as bytes: batches are normalized when they are used.
struct DataSet {
  std::string name;                     // the words that named it: "cifar10:DIR"
  std::array<std::int64_t, 3> shape{};  // [C, H, W] of one image
  std::int64_t classes = 0;
  std::vector<std::uint8_t> pixels;  // [N, C, H, W]
  std::vector<std::int64_t> labels;  // [N], each below classes
  PixelNormalization normalization;

  std::size_t size() const { return labels.size(); }
  std::size_t image_bytes() const { return static_cast<std::size_t>(shape[0] * shape[1] * shape[2]); }
};

/// Loads one split of the data that `words` name:
///   synthetic[:N]   made by the program: N training images (default 5000) and N/4 test images
///   cifar10:DIR     the official binary layout, in DIR or DIR/cifar-10-batches-bin; ~/ in front is the home folder
///   cifar100:DIR    the same of CIFAR-100, by its 100 fine labels; cifar100:DIR:coarse by its 20 coarse ones
///   mnist:DIR       MNIST, Fashion-MNIST, KMNIST, as IDX files, plain or compressed (idx.h)
/// Throws UsageError for an unknown kind, Error for files that are missing or damaged.
DataSet load_data(const std::string& words, Split split);

/// The files that load_data would read for these words, of both splits, as far as they are there. Throws UsageError for
/// an unknown kind.
std::vector<std::filesystem::path> data_files(const std::string& words);

/// The entries of a file's settings that name the data and how pixels enter the network: data, mean, std.
nlohmann::json settings_of(const DataSet& data);

/// The images at the given indices, in that order.
DataSet subset(const DataSet& data, std::span<const std::int64_t> indices);

/// Indices of `count` images in which each class has its share, to one image. Seeded and nested: the first 100 of
/// 500 are the 100 of the same seed. count <= labels.size().
std::vector<std::int64_t> stratified_sample(std::span<const std::int64_t> labels, std::size_t count,
                                            std::uint64_t seed);

}  // namespace lossatlas
