#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "data/picture.h"

namespace lossatlas {
namespace {

/// libpng's errors come here by longjmp, over frames of C alone.
struct PngFailure {
  std::jmp_buf target{};
  char text[160]{};
};

[[noreturn]] void on_png_error(png_structp png, png_const_charp text) {
  auto& failure = *static_cast<PngFailure*>(png_get_error_ptr(png));
  std::snprintf(failure.text, sizeof failure.text, "%s", text);
  std::longjmp(failure.target, 1);
}

void on_png_warning(png_structp, png_const_charp) {}

struct PngFile {
  PngFailure failure;
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::span<const std::byte> left;  // of the file

  PngFile() = default;
  PngFile(const PngFile&) = delete;
  PngFile& operator=(const PngFile&) = delete;
  ~PngFile() { png_destroy_read_struct(&png, &info, nullptr); }
};

void read_png(png_structp png, png_bytep bytes, std::size_t count) {
  auto& left = static_cast<PngFile*>(png_get_io_ptr(png))->left;
  if (count > left.size()) png_error(png, "is cut off");
  std::memcpy(bytes, left.data(), count);
  left = left.subspan(count);
}

/// `call` makes nothing that has a destructor.
template <class Call>
[[gnu::noinline]] void guarded(PngFailure& failure, const Call& call) {
  if (setjmp(failure.target) != 0) throw Error(std::string(failure.text));
  call();
}

class Png final : public Picture {
 public:
  Png(std::span<const std::byte> file, std::int64_t most_pixels) {
    file_.left = file;
    file_.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &file_.failure, on_png_error, on_png_warning);
    if (file_.png != nullptr) file_.info = png_create_info_struct(file_.png);
    if (file_.info == nullptr) throw std::bad_alloc();
    png_set_read_fn(file_.png, &file_, read_png);
    guarded(file_.failure, [&] {
      png_set_keep_unknown_chunks(file_.png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);  // colour profiles, texts
      png_read_info(file_.png, file_.info);
    });
    set_size(png_get_image_width(file_.png, file_.info), png_get_image_height(file_.png, file_.info), most_pixels);
  }

  const std::uint8_t* next_row() override {
    if (rows_.empty()) start();
    if (is_interlaced_) return rows_.data() + 3 * static_cast<std::size_t>(width() * y_++);
    guarded(file_.failure, [&] { png_read_row(file_.png, rows_.data(), nullptr); });
    if (has_wide_grey_) widen(rows_.data());
    return rows_.data();
  }

 private:
  void start() {
    const png_structp png = file_.png;
    const int color = png_get_color_type(png, file_.info), bits = png_get_bit_depth(png, file_.info);
    is_interlaced_ = png_get_interlace_type(png, file_.info) != PNG_INTERLACE_NONE;
    has_wide_grey_ = color == PNG_COLOR_TYPE_GRAY && bits == 16;
    guarded(file_.failure, [&] {
      if (color == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
      if (color == PNG_COLOR_TYPE_GRAY && bits < 8) png_set_expand_gray_1_2_4_to_8(png);
      if (!has_wide_grey_) {
        png_set_strip_16(png);
        png_set_strip_alpha(png);
        png_set_gray_to_rgb(png);
      }
      if (is_interlaced_) png_set_interlace_handling(png);
      png_read_update_info(png, file_.info);
    });
    const std::size_t row = 3 * static_cast<std::size_t>(width());
    if (png_get_rowbytes(png, file_.info) > row) throw std::logic_error("Png: rows of another size");
    rows_.resize(row * (is_interlaced_ ? static_cast<std::size_t>(height()) : 1));
    if (!is_interlaced_) return;
    std::vector<png_bytep> starts;
    for (std::int64_t y = 0; y < height(); ++y) starts.push_back(rows_.data() + row * static_cast<std::size_t>(y));
    guarded(file_.failure, [&] { png_read_image(png, starts.data()); });
    if (has_wide_grey_) std::for_each(starts.begin(), starts.end(), [this](png_bytep start) { widen(start); });
  }

  /// Grey of 16 bits, [width][2], to RGB, in place: Pillow cuts values off at 255.
  void widen(std::uint8_t* row) const {
    for (auto x = static_cast<std::size_t>(width()); x-- > 0;) {
      std::memset(row + 3 * x, row[2 * x] > 0 ? 255 : row[2 * x + 1], 3);
    }
  }

  PngFile file_;
  bool is_interlaced_ = false, has_wide_grey_ = false;
  std::vector<std::uint8_t> rows_;  // one, or of an interlaced picture all
  std::int64_t y_ = 0;
};

}  // namespace

std::unique_ptr<Picture> open_png(std::span<const std::byte> file, std::int64_t most_pixels) {
  return std::make_unique<Png>(file, most_pixels);
}

}  // namespace lossatlas
