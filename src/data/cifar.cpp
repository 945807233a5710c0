#include "data/cifar.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/files.h"
#include "data/cifar_python.h"

namespace lossatlas {
namespace {

/// What distinguishes the data sets.
struct Kind {
  std::string name;    // of messages
  std::string folder;  // that the archive of the binary version unpacks to
  std::string python_folder;
  std::vector<std::string> train, test, python_train, python_test;  // file names
  std::size_t labels;                                               // bytes of them in front of a record's pixels
  std::size_t label;                                                // which of them
  std::string python_label;                                         // what the Python version calls it
  std::uint8_t classes;
  PixelNormalization normalization;
};

const Kind& layout_of(Cifar kind) {
  static const Kind ten{
      .name = "CIFAR-10",
      .folder = "cifar-10-batches-bin",
      .python_folder = "cifar-10-batches-py",
      .train = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
      .test = {"test_batch.bin"},
      .python_train = {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"},
      .python_test = {"test_batch"},
      .labels = 1,
      .label = 0,
      .python_label = "labels",
      .classes = 10,
      .normalization = {{125.3 / 255, 123.0 / 255, 113.9 / 255}, {63.0 / 255, 62.1 / 255, 66.7 / 255}}};
  static const Kind hundred{
      .name = "CIFAR-100",
      .folder = "cifar-100-binary",
      .python_folder = "cifar-100-python",
      .train = {"train.bin"},
      .test = {"test.bin"},
      .python_train = {"train"},
      .python_test = {"test"},
      .labels = 2,
      .label = 1,
      .python_label = "fine_labels",
      .classes = 100,
      .normalization = {{129.3 / 255, 124.1 / 255, 112.4 / 255}, {68.2 / 255, 65.4 / 255, 70.4 / 255}}};
  static const Kind coarse = [] {
    Kind same = hundred;
    same.label = 0;
    same.python_label = "coarse_labels";
    same.classes = 20;
    return same;
  }();
  return kind == Cifar::ten ? ten : kind == Cifar::hundred ? hundred : coarse;
}

/// `image` counts from 0.
std::int64_t checked_label(const std::filesystem::path& file, const Kind& kind, std::int64_t label, std::size_t image) {
  if (label >= 0 && label < kind.classes) return label;
  throw Error("{}: label {} of image {} is not one of {}'s 0 to {}", file.string(), label, image + 1, kind.name,
              kind.classes - 1);
}

void append_batch(const std::filesystem::path& file, const Kind& kind, DataSet& data,
                  std::vector<std::uint8_t>& pixels) {
  const std::size_t size = kind.labels + kCifarPixels;
  if (const auto other = kind_of(file); !other.empty()) throw Error("{}: {}, not a file", file.string(), other);
  std::error_code code;
  const auto bytes = std::filesystem::file_size(file, code);
  if (code) throw Error("{}: cannot be read ({})", file.string(), code.message());
  if (bytes == 0) throw Error("{}: is empty", file.string());
  if (bytes % size != 0) {
    throw Error(
        "{}: {} bytes are not a whole number of {}-byte records; the file is cut off, has other bytes added, or is not "
        "{}'s binary version",
        file.string(), bytes, size, kind.name);
  }
  std::ifstream in(file, std::ios::binary);
  if (!in) throw Error("{}: cannot be opened ({})", file.string(), std::strerror(errno));
  std::vector<char> record(size);
  for (std::size_t left = bytes / size; left > 0; --left) {
    if (!in.read(record.data(), static_cast<std::streamsize>(size))) throw Error("{}: cannot be read", file.string());
    const auto label = static_cast<std::uint8_t>(record[kind.label]);
    data.labels.push_back(checked_label(file, kind, label, bytes / size - left));
    pixels.insert(pixels.end(), record.begin() + static_cast<std::ptrdiff_t>(kind.labels), record.end());
  }
}

void append_python_batch(const std::filesystem::path& file, const Kind& kind, DataSet& data,
                         std::vector<std::uint8_t>& pixels) {
  const CifarBatch batch = read_cifar_batch(file, kind.python_label);
  for (std::size_t i = 0; i < batch.labels.size(); ++i) {
    data.labels.push_back(checked_label(file, kind, batch.labels[i], i));
  }
  const auto own = batch.pixels.numbers<std::uint8_t>();
  pixels.insert(pixels.end(), own.begin(), own.end());
}

/// The files of a split.
struct Files {
  bool is_python = false;
  std::vector<std::filesystem::path> paths;
};

/// In the folder itself, or in the one in it that the archive unpacks to, of the binary version before the Python
/// version. Nothing if none of them has the split's first file.
std::optional<Files> find_files(const Kind& kind, const std::filesystem::path& folder, Split split) {
  const bool is_train = split == Split::train;
  for (const bool is_python : {false, true}) {
    const auto& names = is_python  ? (is_train ? kind.python_train : kind.python_test)
                        : is_train ? kind.train
                                   : kind.test;
    for (const auto& where : {folder, folder / (is_python ? kind.python_folder : kind.folder)}) {
      // A folder of the name `train` may be anything.
      if (is_python ? !std::filesystem::is_regular_file(where / names.front())
                    : !std::filesystem::exists(where / names.front())) {
        continue;
      }
      Files files{is_python, {}};
      for (const std::string& name : names) files.paths.push_back(where / name);
      return files;
    }
  }
  return std::nullopt;
}

}  // namespace

DataSet load_cifar(Cifar which, const std::filesystem::path& folder, Split split) {
  const Kind& kind = layout_of(which);
  const auto files = find_files(kind, folder, split);
  if (!files) {
    const bool is_train = split == Split::train;
    throw Error(
        "{}: no {} here nor in {}/, and no {} here nor in {}/; name the folder of {}'s binary or Python version",
        folder.string(), (is_train ? kind.train : kind.test).front(), kind.folder,
        (is_train ? kind.python_train : kind.python_test).front(), kind.python_folder, kind.name);
  }
  DataSet data;
  data.shape = {3, 32, 32};
  data.classes = kind.classes;
  data.normalization = kind.normalization;
  std::vector<std::uint8_t> pixels;
  for (const auto& file : files->paths)
    (files->is_python ? append_python_batch : append_batch)(file, kind, data, pixels);
  data.pixels = Array({static_cast<std::int64_t>(data.size()), 3, 32, 32}, std::move(pixels));
  return data;
}

std::vector<std::filesystem::path> cifar_files(Cifar which, const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> all;
  for (const Split split : {Split::train, Split::test}) {
    const auto files = find_files(layout_of(which), folder, split);
    if (files) all.insert(all.end(), files->paths.begin(), files->paths.end());
  }
  return all;
}

}  // namespace lossatlas
