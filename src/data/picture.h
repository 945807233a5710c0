#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace lossatlas {

/// Pixels that a picture may announce. Pillow refuses as many, so that a small file cannot fill the memory.
inline constexpr std::int64_t kMostPixels = 178'956'970;

/// A JPEG or PNG picture that is decoded row by row, as RGB: grey, palettes, CMYK and 16 bits become what Pillow's
/// convert("RGB") makes of them. Transparency and the orientation that EXIF records are ignored, as by torchvision.
/// Interlaced and progressive pictures are held in memory whole.
class Picture {
 public:
  Picture() = default;
  Picture(const Picture&) = delete;
  Picture& operator=(const Picture&) = delete;
  virtual ~Picture() = default;

  std::int64_t width() const { return width_; }
  std::int64_t height() const { return height_; }
  /// The next row from the top, [width][3], until the next call; at most `height` times. Throws Error with the reason
  /// alone ("is cut off") if the file is damaged.
  virtual const std::uint8_t* next_row() = 0;

 protected:
  /// Throws Error above `most_pixels`.
  void set_size(std::int64_t width, std::int64_t height, std::int64_t most_pixels);

 private:
  std::int64_t width_ = 0, height_ = 0;
};

/// Reads the head of a picture. `file` holds its bytes, and outlives it. Throws Error with the reason alone if it is
/// neither JPEG nor PNG (whatever the file's name), is damaged, or has more pixels.
std::unique_ptr<Picture> open_picture(std::span<const std::byte> file, std::int64_t most_pixels = kMostPixels);

/// Those of each format.
std::unique_ptr<Picture> open_jpeg(std::span<const std::byte> file, std::int64_t most_pixels);
std::unique_ptr<Picture> open_png(std::span<const std::byte> file, std::int64_t most_pixels);

}  // namespace lossatlas
