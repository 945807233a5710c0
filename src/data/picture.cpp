#include "data/picture.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace lossatlas {
namespace {

template <std::size_t count>
bool starts_with(std::span<const std::byte> file, const std::array<std::uint8_t, count>& signature) {
  return file.size() >= count && std::ranges::equal(std::as_bytes(std::span(signature)), file.first(count));
}

constexpr std::array<std::uint8_t, 3> kJpeg{0xff, 0xd8, 0xff};
constexpr std::array<std::uint8_t, 8> kPng{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

}  // namespace

void Picture::set_size(std::int64_t width, std::int64_t height, std::int64_t most_pixels) {
  if (width * height > most_pixels) {
    throw Error("has {}x{} pixels, more than the {} allowed", width, height, most_pixels);
  }
  width_ = width;
  height_ = height;
}

std::unique_ptr<Picture> open_picture(std::span<const std::byte> file, std::int64_t most_pixels) {
  if (file.empty()) throw Error("is empty");
  if (starts_with(file, kJpeg)) return open_jpeg(file, most_pixels);
  if (starts_with(file, kPng)) return open_png(file, most_pixels);
  throw Error("is neither JPEG nor PNG");
}

}  // namespace lossatlas
