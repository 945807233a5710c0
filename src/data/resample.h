#pragma once

#include <cstdint>
#include <span>

#include "data/data_set.h"
#include "data/picture.h"

namespace lossatlas {

enum class Interpolation { nearest, bilinear, bicubic };

/// Throws UsageError for an unknown name.
Interpolation interpolation_of(const std::string& name);

/// One axis of a picture that is resized and then cropped.
struct CroppedAxis {
  std::int64_t from = 0;     // pixels of the picture
  std::int64_t resized = 0;  // after resizing
  std::int64_t size = 0;     // of the image
  std::int64_t start = 0;    // of the image in the resized picture; below 0: black in front
};

struct Cropping {
  CroppedAxis x, y;
};

/// What torchvision's Resize and CenterCrop do to a Pillow picture of this size. Throws Error with the reason alone if
/// the resized picture had more than kMostPixels pixels.
Cropping cropping_of(std::int64_t width, std::int64_t height, const ImageOptions& options);

/// Reads all rows of the picture and writes the image, [3, y.size, x.size], computing those pixels alone. The same bits
/// as Pillow's resize: filters as wide as the reduction (triangle, or cubic with a = -1/2), along x and then y, rounded
/// to 8 bits after each. Memory: 4 bytes for each byte of the image.
void resample(Picture& picture, const Cropping& cropping, Interpolation interpolation, std::span<std::uint8_t> image);

}  // namespace lossatlas
