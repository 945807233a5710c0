#include "data/idx.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/files.h"

namespace lossatlas {
namespace {

constexpr std::int64_t kFewestClasses = 10;

/// All bytes of a file, unpacked if it is compressed. zlib passes plain files through.
std::vector<std::uint8_t> read_all(const std::filesystem::path& file) {
  if (const auto other = kind_of(file); !other.empty()) throw Error("{}: {}, not a file", file.string(), other);
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> in(gzopen(file.c_str(), "rb"), gzclose);
  if (!in) throw Error("{}: cannot be opened", file.string());
  constexpr std::size_t kBlock = 1 << 20;
  std::vector<std::uint8_t> bytes;
  while (true) {
    const std::size_t size = bytes.size();
    bytes.resize(size + kBlock);
    const int read = gzread(in.get(), bytes.data() + size, kBlock);
    int code = Z_OK;
    const char* reason = gzerror(in.get(), &code);
    if (read < 0 || (code != Z_OK && code != Z_STREAM_END)) {
      throw Error("{}: is damaged or cut off ({})", file.string(), reason);
    }
    bytes.resize(size + static_cast<std::size_t>(read));
    if (read == 0) return bytes;
  }
}

/// The sizes of an array of bytes of so many dimensions, whose numbers follow 4 + 4 · dimensions bytes.
std::vector<std::int64_t> sizes_of(const std::vector<std::uint8_t>& bytes, std::size_t dimensions,
                                   const std::filesystem::path& file) {
  constexpr std::uint8_t kBytes = 8;  // the type of the numbers
  const std::size_t head = 4 + 4 * dimensions;
  const bool fits = bytes.size() >= head && bytes[0] == 0 && bytes[1] == 0 && bytes[2] == kBytes &&
                    bytes[3] == static_cast<std::uint8_t>(dimensions);
  if (!fits) throw Error("{}: is not an IDX file of bytes in {} dimensions, as MNIST's are", file.string(), dimensions);
  std::vector<std::int64_t> sizes;
  std::size_t numbers = 1;
  for (std::size_t d = 0; d < dimensions; ++d) {
    std::uint32_t size = 0;
    for (std::size_t i = 0; i < 4; ++i) size = size << 8 | bytes[4 + 4 * d + i];
    sizes.push_back(size);
    if (__builtin_mul_overflow(numbers, std::size_t{size}, &numbers)) numbers = SIZE_MAX;
  }
  if (bytes.size() - head != numbers) {
    throw Error("{}: has {} bytes after its head, which announces {}", file.string(), bytes.size() - head, numbers);
  }
  return sizes;
}

std::optional<std::filesystem::path> find_file(const std::filesystem::path& folder, Split split, const char* what) {
  const std::string name = fmt::format("{}-{}", split == Split::train ? "train" : "t10k", what);
  for (const char* inner : {"", "MNIST/raw", "FashionMNIST/raw", "KMNIST/raw"}) {
    for (const char* end : {"", ".gz"}) {
      const auto file = folder / inner / (name + end);
      if (std::filesystem::is_regular_file(file)) return file;
    }
  }
  return std::nullopt;
}

constexpr auto kImages = "images-idx3-ubyte", kLabels = "labels-idx1-ubyte";

std::vector<std::uint8_t> read_labels(const std::filesystem::path& file) {
  auto bytes = read_all(file);
  sizes_of(bytes, 1, file);
  bytes.erase(bytes.begin(), bytes.begin() + 8);
  return bytes;
}

}  // namespace

DataSet load_idx(const std::filesystem::path& folder, Split split) {
  const auto images = find_file(folder, split, kImages), labels = find_file(folder, split, kLabels);
  if (!images || !labels) {
    throw Error("{}: no {}-{} here nor in MNIST/raw, FashionMNIST/raw or KMNIST/raw, plain or with .gz",
                folder.string(), split == Split::train ? "train" : "t10k", images ? kLabels : kImages);
  }
  const auto bytes = read_all(*images);
  const auto sizes = sizes_of(bytes, 3, *images);
  const auto own = read_labels(*labels);
  if (sizes[0] == 0) throw Error("{}: holds no images", images->string());
  if (static_cast<std::int64_t>(own.size()) != sizes[0]) {
    throw Error("{} holds {} images, {} {} labels", images->string(), sizes[0], labels->string(), own.size());
  }
  DataSet data;
  data.shape = {1, sizes[1], sizes[2]};
  data.normalization = {{0.1307}, {0.3081}};
  data.pixels = Array({sizes[0], 1, sizes[1], sizes[2]}, std::vector(bytes.begin() + 16, bytes.end()));
  data.labels.assign(own.begin(), own.end());
  data.classes = std::max<std::int64_t>(kFewestClasses, *std::max_element(own.begin(), own.end()) + 1);
  const Split other = split == Split::train ? Split::test : Split::train;
  if (const auto others = find_file(folder, other, kLabels)) {  // both splits have the same classes
    const auto more = read_labels(*others);
    if (!more.empty())
      data.classes = std::max<std::int64_t>(data.classes, *std::max_element(more.begin(), more.end()) + 1);
  }
  return data;
}

std::vector<std::filesystem::path> idx_files(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const Split split : {Split::train, Split::test}) {
    for (const char* what : {kImages, kLabels}) {
      if (const auto file = find_file(folder, split, what)) files.push_back(*file);
    }
  }
  return files;
}

}  // namespace lossatlas
