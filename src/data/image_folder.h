#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/split.h"

namespace lossatlas {

struct PictureFile {
  std::string name;  // within the folder: "cat/1.jpg"
  std::int64_t label = 0;
  std::uint64_t bytes = 0;
  std::int64_t time = 0;  // of the last change, in nanoseconds
};

/// The pictures of one split, in the order of torchvision's ImageFolder.
struct ImageFolder {
  std::filesystem::path folder;
  std::vector<std::string> classes;  // the names of its folders, sorted
  std::vector<PictureFile> files;
};

/// True if FOLDER/train holds class folders, and FOLDER/val or FOLDER/test is a folder. Otherwise all pictures are
/// training data: those of FOLDER/train, or of FOLDER itself.
bool has_test_images(const std::filesystem::path& folder);

/// Lists files that end in .jpg, .jpeg or .png, in capitals too, at any depth of a class folder. Hidden files and
/// folders are passed over. Throws Error naming the folder: no classes, one class, a class without pictures, other
/// classes in the other split.
ImageFolder list_images(const std::filesystem::path& folder, Split split);

/// The pictures of both splits, as far as they are there.
std::vector<std::filesystem::path> image_files(const std::filesystem::path& folder);

}  // namespace lossatlas
