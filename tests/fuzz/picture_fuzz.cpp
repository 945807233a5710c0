#include <cstring>
#include <vector>

#include "base/crc32.h"
#include "base/error.h"
#include "data/resample.h"

using namespace lossatlas;

namespace {

/// A PNG whose chunks have the right checksums: with wrong ones it is refused at once.
void mend_checksums(std::span<std::byte> png) {
  constexpr std::size_t kSignature = 8,
                        kAround = 12;  // length and kind in front of a chunk's data, checksum after them
  for (std::size_t at = kSignature; at + kAround <= png.size();) {
    std::size_t length = 0;
    for (std::size_t i = 0; i < 4; ++i) length = length << 8 | std::to_integer<std::size_t>(png[at + i]);
    if (length > png.size() - at - kAround) return;
    const std::uint32_t check = crc32(png.subspan(at + 4, length + 4));
    for (std::size_t i = 0; i < 4; ++i) png[at + 8 + length + i] = static_cast<std::byte>(check >> (24 - 8 * i));
    at += kAround + length;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  constexpr std::int64_t kMost = 1 << 18;  // pixels: damaged progressive pictures have hundreds of scans
  const auto given = std::as_bytes(std::span(bytes, size));
  std::vector<std::byte> file(given.begin(), given.end());
  if (!file.empty() && file[0] == std::byte{0x89}) mend_checksums(file);
  try {
    const auto picture = open_picture(file, kMost);
    ImageOptions options;
    options.resize = {16};
    options.crop = {12, 20};
    const Cropping cropping = cropping_of(picture->width(), picture->height(), options);
    std::vector<std::uint8_t> image(static_cast<std::size_t>(3 * cropping.x.size * cropping.y.size));
    resample(*picture, cropping, size % 2 == 0 ? Interpolation::bilinear : Interpolation::nearest, image);
  } catch (const Error&) {
  }
  return 0;
}
