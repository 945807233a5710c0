#include <memory>
#include <string_view>
#include <vector>

#include "data/cifar.h"
#include "data/idx.h"
#include "data/npy.h"
#include "data/npz.h"
#include "data/tokens.h"
#include "fuzz/input.h"
#include "without_checksums.h"

using namespace lossatlas;

namespace {

/// Two images of 2 x 2, or their labels, for the other half of an IDX data set.
std::string idx(bool is_images) {
  std::string bytes{0, 0, 8, static_cast<char>(is_images ? 3 : 1)};
  for (int i = 0; i < (is_images ? 3 : 1); ++i) bytes += std::string{0, 0, 0, 2};
  return bytes + std::string(is_images ? 8 : 2, '\1');
}

void read_numbers(std::string_view bytes) {
  const auto all = std::as_bytes(std::span(bytes));
  const NpyHeader header = read_npy_header(all);
  if (numbers_size(header) != all.size() - header.size) return;
  const auto copy = memory_for(all.size());  // aligned as in no file
  std::copy(all.begin(), all.end(), copy.get());
  npy_array(header, std::shared_ptr<const void>(copy, copy.get() + header.size));
}

void read_arrays(const std::filesystem::path& file) {
  const NpzFile arrays(file);
  for (const auto& entry : arrays.entries()) {
    try {
      arrays.read(entry);
    } catch (const Error&) {
    }
  }
  for (const Split split : {Split::train, Split::test}) {
    try {
      split_of(arrays, split);
      labelled_images(arrays, split);
    } catch (const Error&) {
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);
/// How it begins says who reads it: as .npz, .npy, a pickle, IDX plain or compressed, llm.c's or nanoGPT's tokens, and
/// CIFAR's binary version.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  const auto in_folder = [](const auto& read) { return [read](const auto& file) { read(file.parent_path()); }; };
  const auto write = [](const char* name, std::string_view content, const auto& read) {
    testing::read_as_file(name, reinterpret_cast<const std::uint8_t*>(content.data()), content.size(), read);
  };
  if (text.starts_with("PK")) {
    write("a.npz", testing::without_checksums(std::string(text)), read_arrays);
  } else if (text.starts_with("\x93NUMPY")) {
    write("a.npy", text, [&](const auto&) { read_numbers(text); });
  } else if (text.starts_with('\x80')) {
    write("test_batch", text, in_folder([](const auto& folder) {
            std::filesystem::remove(folder / "test_batch.bin");
            load_cifar(Cifar::ten, folder, Split::test);
          }));
  } else if (text.starts_with(std::string_view("\0\0\x08", 3)) || text.starts_with("\x1f\x8b")) {
    const bool is_images = size > 3 && text[3] != 1;
    write(is_images ? "t10k-labels-idx1-ubyte" : "t10k-images-idx3-ubyte", idx(!is_images), [](const auto&) {});
    write(is_images ? "t10k-images-idx3-ubyte" : "t10k-labels-idx1-ubyte", text,
          in_folder([](const auto& folder) { load_idx(folder, Split::test); }));
  } else {
    write("train.bin", text, [](const auto& file) { load_tokens(file.string(), Split::train, {.block = 2}); });
    write("test_batch.bin", text, in_folder([](const auto& folder) { load_cifar(Cifar::ten, folder, Split::test); }));
  }
  return 0;
}
