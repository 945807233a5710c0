#include "data/cifar10.h"

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
constexpr std::size_t kRecord = 1 + kPixels;

void append_batch(const std::filesystem::path& file, DataSet& data) {
  if (const auto kind = kind_of(file); !kind.empty()) throw Error("{}: {}, not a file", file.string(), kind);
  std::error_code code;
  const auto bytes = std::filesystem::file_size(file, code);
  if (code) throw Error("{}: cannot be read ({})", file.string(), code.message());
  if (bytes == 0) throw Error("{}: is empty", file.string());
  if (bytes % kRecord != 0) {
    throw Error(
        "{}: {} bytes are not a whole number of {}-byte records; the file is cut off, has other bytes added, or is not "
        "CIFAR-10's binary version",
        file.string(), bytes, kRecord);
  }
  std::ifstream in(file, std::ios::binary);
  if (!in) throw Error("{}: cannot be opened ({})", file.string(), std::strerror(errno));
  std::vector<char> record(kRecord);
  for (std::size_t left = bytes / kRecord; left > 0; --left) {
    if (!in.read(record.data(), static_cast<std::streamsize>(kRecord)))
      throw Error("{}: cannot be read", file.string());
    const auto label = static_cast<std::uint8_t>(record[0]);
    if (label > 9) {
      throw Error("{}: label {} of image {} is not one of CIFAR-10's 0 to 9", file.string(), label,
                  bytes / kRecord - left + 1);
    }
    data.labels.push_back(label);
    data.pixels.insert(data.pixels.end(), record.begin() + 1, record.end());
  }
}

const std::vector<std::string>& names_of(Split split) {
  static const std::vector<std::string> train{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                              "data_batch_4.bin", "data_batch_5.bin"};
  static const std::vector<std::string> test{"test_batch.bin"};
  return split == Split::train ? train : test;
}

/// The folder itself, or the one in it that the archive unpacks to. Nothing where neither has the split's first file.
std::optional<std::filesystem::path> find_files(const std::filesystem::path& folder, Split split) {
  for (const auto& where : {folder, folder / "cifar-10-batches-bin"}) {
    if (std::filesystem::exists(where / names_of(split).front())) return where;
  }
  return std::nullopt;
}

/// The same data as Python's pickles.
bool is_python_version(const std::filesystem::path& folder) {
  for (const auto& where : {folder, folder / "cifar-10-batches-py"}) {
    for (const char* name : {"data_batch_1", "test_batch", "batches.meta"}) {
      if (std::filesystem::exists(where / name)) return true;
    }
  }
  return false;
}

}  // namespace

DataSet load_cifar10(const std::filesystem::path& folder, Split split) {
  const auto where = find_files(folder, split);
  if (!where && is_python_version(folder)) {
    throw Error(
        "{}: CIFAR-10's Python version, which is not read; get the binary version, cifar-10-binary.tar.gz, from "
        "https://www.cs.toronto.edu/~kriz/cifar.html and name its folder",
        folder.string());
  }
  if (!where) {
    throw Error("{}: no {} here nor in cifar-10-batches-bin/; name the folder of CIFAR-10's binary version",
                folder.string(), names_of(split).front());
  }
  DataSet data;
  data.shape = {3, 32, 32};
  data.classes = 10;
  data.normalization = {{125.3 / 255, 123.0 / 255, 113.9 / 255}, {63.0 / 255, 62.1 / 255, 66.7 / 255}};
  for (const std::string& name : names_of(split)) append_batch(*where / name, data);
  return data;
}

std::vector<std::filesystem::path> cifar10_files(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const Split split : {Split::train, Split::test}) {
    const auto where = find_files(folder, split);
    if (!where) continue;
    for (const std::string& name : names_of(split)) files.push_back(*where / name);
  }
  return files;
}

}  // namespace lossatlas
