#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/data_set.h"

namespace lossatlas {

/// One kind of data, named in front of a colon: "cifar10:DIR". `rest` is what follows the colon, with ~/ replaced.
struct DataKind {
  std::string name;
  std::string shown;  // in the list of kinds: "cifar10:DIR"
  DataSet (*load)(const std::string& rest, Split split, const ImageOptions& options,
                  const DataObserver& observer) = nullptr;  // null: no class labels
  ArrayData (*load_arrays)(const std::string& rest, Split split, const TokenOptions& tokens) = nullptr;  // null: images
  bool (*has_test)(const std::string& rest) = nullptr;  // null: they always have
  /// Of classes that have names, which decide the labels.
  std::vector<std::string> (*class_names)(const std::string& rest, Split split) = nullptr;
  std::vector<std::filesystem::path> (*files)(const std::string& rest) = nullptr;
};

/// In the order of messages.
const std::vector<DataKind>& data_kinds();

}  // namespace lossatlas
