#include "data/cifar.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/files.h"

namespace lossatlas {
namespace {

constexpr std::size_t kPixels = 3 * 32 * 32;

/// What tells the data sets apart.
struct Kind {
  std::string name;    // of messages
  std::string folder;  // that the archive of the binary version unpacks to
  std::string python_folder;
  std::vector<std::string> train, test, python;  // file names
  std::size_t labels;                            // bytes of them in front of a record's pixels
  std::size_t label;                             // which of them
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
      .python = {"data_batch_1", "test_batch", "batches.meta"},
      .labels = 1,
      .label = 0,
      .classes = 10,
      .normalization = {{125.3 / 255, 123.0 / 255, 113.9 / 255}, {63.0 / 255, 62.1 / 255, 66.7 / 255}}};
  static const Kind hundred{
      .name = "CIFAR-100",
      .folder = "cifar-100-binary",
      .python_folder = "cifar-100-python",
      .train = {"train.bin"},
      .test = {"test.bin"},
      .python = {"train", "test", "meta"},
      .labels = 2,
      .label = 1,
      .classes = 100,
      .normalization = {{129.3 / 255, 124.1 / 255, 112.4 / 255}, {68.2 / 255, 65.4 / 255, 70.4 / 255}}};
  static const Kind coarse = [] {
    Kind same = hundred;
    same.label = 0;
    same.classes = 20;
    return same;
  }();
  return kind == Cifar::ten ? ten : kind == Cifar::hundred ? hundred : coarse;
}

void append_batch(const std::filesystem::path& file, const Kind& kind, DataSet& data,
                  std::vector<std::uint8_t>& pixels) {
  const std::size_t size = kind.labels + kPixels;
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
    if (label >= kind.classes) {
      throw Error("{}: label {} of image {} is not one of {}'s 0 to {}", file.string(), label, bytes / size - left + 1,
                  kind.name, kind.classes - 1);
    }
    data.labels.push_back(label);
    pixels.insert(pixels.end(), record.begin() + static_cast<std::ptrdiff_t>(kind.labels), record.end());
  }
}

const std::vector<std::string>& names_of(const Kind& kind, Split split) {
  return split == Split::train ? kind.train : kind.test;
}

/// The folder itself, or the one in it that the archive unpacks to. Nothing where neither has the split's first file.
std::optional<std::filesystem::path> find_files(const Kind& kind, const std::filesystem::path& folder, Split split) {
  for (const auto& where : {folder, folder / kind.folder}) {
    if (std::filesystem::exists(where / names_of(kind, split).front())) return where;
  }
  return std::nullopt;
}

/// The same data as Python's pickles.
bool is_python_version(const Kind& kind, const std::filesystem::path& folder) {
  for (const auto& where : {folder, folder / kind.python_folder}) {
    for (const std::string& name : kind.python) {
      if (std::filesystem::is_regular_file(where / name)) return true;
    }
  }
  return false;
}

}  // namespace

DataSet load_cifar(Cifar which, const std::filesystem::path& folder, Split split) {
  const Kind& kind = layout_of(which);
  const auto where = find_files(kind, folder, split);
  if (!where && is_python_version(kind, folder)) {
    throw Error(
        "{}: {}'s Python version, which is not read; get the binary version, {}-binary.tar.gz, from "
        "https://www.cs.toronto.edu/~kriz/cifar.html and name its folder",
        folder.string(), kind.name, which == Cifar::ten ? "cifar-10" : "cifar-100");
  }
  if (!where) {
    throw Error("{}: no {} here nor in {}/; name the folder of {}'s binary version", folder.string(),
                names_of(kind, split).front(), kind.folder, kind.name);
  }
  DataSet data;
  data.shape = {3, 32, 32};
  data.classes = kind.classes;
  data.normalization = kind.normalization;
  std::vector<std::uint8_t> pixels;
  for (const std::string& name : names_of(kind, split)) append_batch(*where / name, kind, data, pixels);
  data.pixels = Array({static_cast<std::int64_t>(data.size()), 3, 32, 32}, std::move(pixels));
  return data;
}

std::vector<std::filesystem::path> cifar_files(Cifar which, const std::filesystem::path& folder) {
  const Kind& kind = layout_of(which);
  std::vector<std::filesystem::path> files;
  for (const Split split : {Split::train, Split::test}) {
    const auto where = find_files(kind, folder, split);
    if (!where) continue;
    for (const std::string& name : names_of(kind, split)) files.push_back(*where / name);
  }
  return files;
}

}  // namespace lossatlas
