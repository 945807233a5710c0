#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/array.h"
#include "data/split.h"

namespace lossatlas {

/// A pixel value p in 0 … 255 enters the network as (p / 255 - mean[c]) / deviation[c], one entry a channel.
struct PixelNormalization {
  std::vector<double> mean;
  std::vector<double> deviation;
};

/// Labelled images in memory, one copy: batches are normalized when they are used.
struct DataSet {
  std::string name;                     // the words that named it: "cifar10:DIR"
  std::array<std::int64_t, 3> shape{};  // [C, H, W] of one image
  std::int64_t classes = 0;
  Array pixels;                      // [N, C, H, W]: uint8, or float32 of values
  std::vector<std::int64_t> labels;  // [N], each below classes
  std::string transform = {};        // transform_of its words
  /// A value v of float32 enters as (v - mean[c]) / deviation[c].
  PixelNormalization normalization;

  std::size_t size() const { return labels.size(); }
  std::size_t image_size() const { return static_cast<std::size_t>(shape[0] * shape[1] * shape[2]); }  // numbers
};

/// Samples of any type and shape, as a file holds them.
struct ArrayData {
  std::string name;            // the words that named it: "npz:FILE"
  std::filesystem::path file;  // that they were read from
  std::vector<Array> inputs;   // the first axis of each is the sample
  std::optional<Array> targets;
};

/// What the reader of tokens knows of them.
struct TokenOptions {
  std::int64_t block = 0;       // tokens of a sample, unless the words say it; 0: unknown
  std::int64_t vocabulary = 0;  // ids are below it; 0: unknown
};

/// How the pictures of files become images of one size, in the words of torchvision's transforms.
struct ImageOptions {
  std::vector<std::int64_t> resize = {256};  // the shorter side; or height and width; empty: as they are
  std::vector<std::int64_t> crop = {224};    // of the centre: a side, or height and width; empty: none
  std::string interpolation = "bilinear";    // or bicubic, nearest
  bool skip_bad = false;                     // leave out what cannot be decoded
  std::filesystem::path cache;               // the folder of decoded images; "": XDG_CACHE_HOME/lossatlas
};

/// What names data and says how they are read.
struct DataSpec {
  DataSpec(std::string of_data) : words(std::move(of_data)) {}
  DataSpec(const char* of_data) : words(of_data) {}

  std::string words;
  std::string test_words = {};  // of the test split: what these name has one, or is one; "": that of `words`
  ImageOptions images = {};
  std::map<std::string, std::string> copies = {};  // in place of words, those of a copy that is read (moved_data)
};

/// Hears what happens while data are read that takes its time. Either may be empty.
struct DataObserver {
  std::function<void(std::int64_t done, std::int64_t all)> on_progress;  // images decoded; from one thread at a time
  std::function<void(const std::string&)> on_note;
};

/// Loads labelled images, one split of the data that `spec.words` name:
///   synthetic[:N]   made by the program: N training images (default 5000) and N/4 test images
///   cifar10:DIR     the binary or the Python version (cifar.h); ~/ in front is the home folder
///   cifar100:DIR    the same of CIFAR-100, by its 100 fine labels; cifar100:DIR:coarse by its 20 coarse ones
///   mnist:DIR       MNIST, Fashion-MNIST, KMNIST, as IDX files, plain or compressed (idx.h)
///   images:DIR      JPEG and PNG pictures: DIR/train/CLASS/* with DIR/val or DIR/test, or only DIR/CLASS/* (images.h)
///   npz:FILE        images and labels of numpy.savez, by their names (array_file.h)
///   hdf5:FILE       the same of the datasets at the root of an HDF5 file
/// Throws UsageError for an unknown kind, Error for files that are missing or damaged.
DataSet load_data(const DataSpec& spec, Split split, const DataObserver& observer = {});

/// Loads one split of arrays: no normalization, no conversion.
///   npz:FILE, hdf5:FILE                    by their names (array_file.h)
///   tokens:FILE[:T], tokens:FOLDER[:T]     blocks of T token ids (tokens.h)
/// Throws UsageError for words of another kind (is_arrays) and for tokens without a block length, Error for files that
/// are missing or damaged, and for ids that are not in the vocabulary if `tokens` says it.
ArrayData load_arrays(const DataSpec& spec, Split split, const TokenOptions& tokens = {});

/// Throws Error, naming the file and the position, if whole numbers of the inputs or the targets are not ids of this
/// vocabulary: from 0 to vocabulary - 1.
void check_ids(const ArrayData& data, std::int64_t vocabulary);

/// The words name tokens, which are arrays too.
bool is_tokens(const std::string& words);

/// The words name arrays or tokens, not images. Throws UsageError for an unknown kind.
bool is_arrays(const std::string& words);

/// The same data with another name of their file or folder: cifar10:place(DIR), with ~/ replaced. Data without files as
/// they are. Throws UsageError for an unknown kind.
std::string moved_data(const std::string& words, const std::function<std::string(const std::string&)>& place);

/// "synthetic[:N], cifar10:DIR, … or tokens:FILE[:T]"
std::string list_of_data_kinds();

/// What pictures of the words went through: "resize 256, crop 224, bilinear"; "" of other data.
std::string transform_of(const DataSpec& spec);

/// False if the data have only one split. Throws as load_data.
bool has_test_split(const DataSpec& spec);

/// The files that load_data would read, of both splits, as far as they are there. Throws UsageError for an unknown
/// kind.
std::vector<std::filesystem::path> data_files(const DataSpec& spec);

/// The entries of a file's settings that name the data and how pixels enter the network: data, mean, std, and
/// transform of pictures.
nlohmann::json settings_of(const DataSet& data);

/// The images at the given indices, in that order.
DataSet subset(const DataSet& data, std::span<const std::int64_t> indices);

/// Indices of `count` images in which each class has its share, to one image. Seeded and nested: the first 100 of
/// 500 are the 100 of the same seed. count <= labels.size().
std::vector<std::int64_t> stratified_sample(std::span<const std::int64_t> labels, std::size_t count,
                                            std::uint64_t seed);

}  // namespace lossatlas
