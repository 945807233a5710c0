#include "data/cifar10.h"

#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/error.h"

namespace lossatlas {
namespace {

constexpr std::size_t kPixels = 3 * 32 * 32;
constexpr std::size_t kRecord = 1 + kPixels;

void append_batch(const std::filesystem::path& file, DataSet& data) {
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

}  // namespace

DataSet load_cifar10(const std::filesystem::path& folder, Split split) {
  std::filesystem::path where = folder;
  const std::string first = split == Split::train ? "data_batch_1.bin" : "test_batch.bin";
  if (!std::filesystem::exists(where / first)) where /= "cifar-10-batches-bin";
  if (!std::filesystem::exists(where / first)) {
    throw Error("{}: no {} here nor in cifar-10-batches-bin/; name the folder of CIFAR-10's binary version",
                folder.string(), first);
  }
  DataSet data;
  data.shape = {3, 32, 32};
  data.classes = 10;
  data.normalization = {{125.3 / 255, 123.0 / 255, 113.9 / 255}, {63.0 / 255, 62.1 / 255, 66.7 / 255}};
  if (split == Split::test) {
    append_batch(where / first, data);
  } else {
    for (int batch = 1; batch <= 5; ++batch) append_batch(where / fmt::format("data_batch_{}.bin", batch), data);
  }
  return data;
}

}  // namespace lossatlas
