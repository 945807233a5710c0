#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "data/array.h"
#include "data/data_set.h"

namespace lossatlas {

/// A file of named arrays.
class ArrayFile {
 public:
  struct Entry {
    std::string name;
    std::string type;  // "float32"; of what is not read, what it is
    std::vector<std::int64_t> shape;
  };

  virtual ~ArrayFile() = default;
  /// One of the entries. uint32 and uint64 become int64. Throws Error, naming the file and the array, if it is damaged
  /// or not of plain numbers.
  virtual Array read(const Entry& entry) const = 0;

  const std::filesystem::path& file() const { return file_; }
  const std::vector<Entry>& entries() const { return entries_; }

 protected:
  explicit ArrayFile(std::filesystem::path file) : file_(std::move(file)) {}

  std::filesystem::path file_;
  std::vector<Entry> entries_;
};

/// The arrays of a split, by their names: the first of inputs, images, x, X and data that is there as train_inputs or
/// inputs_train (test_ or _test; else val_ or _val) or, of training data, as it is, or as several: inputs_0, inputs_1.
/// Targets, which may be missing, are the first of targets, labels, y, target and label that is called the same way. A
/// file that holds only arr_0, and perhaps arr_1, has training data: these.
/// Throws Error, naming the file and the array, if there are none, none have rows, their lengths differ, or an input
/// is not finite.
ArrayData split_of(const ArrayFile& file, Split split);

bool has_test_arrays(const ArrayFile& file);

/// A split as labelled images: inputs of uint8 or floats, [N, H, W], [N, C, H, W] or [N, H, W, C] with C 1, 3 or 4 (C
/// first if it could be either), targets of class numbers, [N] or [N, 1]. There are 1 + the largest label of both
/// splits as classes. Normalization: mean 0 and deviation 1: pixels are 0 … 1, floats stay as they are. Throws Error,
/// naming the file and the array, for anything else.
DataSet labelled_images(const ArrayFile& file, Split split);

}  // namespace lossatlas
