#include <csetjmp>
#include <cstdio>
// jpeglib.h uses size_t and FILE without including what declares them.
#include <jerror.h>
#include <jpeglib.h>

#include <vector>

#include "base/error.h"
#include "data/picture.h"

namespace lossatlas {
namespace {

constexpr int kMostScans = 500;  // of a progressive picture: each takes as long as decoding a picture

/// libjpeg's errors come here by longjmp, over frames of C alone.
struct JpegFailure {
  jpeg_error_mgr manager{};  // first: libjpeg hands out its address
  std::jmp_buf target{};
  char text[JMSG_LENGTH_MAX]{};
};

[[noreturn]] void leave_jpeg(j_common_ptr info) { std::longjmp(reinterpret_cast<JpegFailure*>(info->err)->target, 1); }

void on_jpeg_error(j_common_ptr info) {
  info->err->format_message(info, reinterpret_cast<JpegFailure*>(info->err)->text);
  leave_jpeg(info);
}

/// Warnings of damaged data are passed over, as by Pillow. At the end of the file libjpeg would make up the rest.
void on_jpeg_message(j_common_ptr info, int level) {
  if (level >= 0 || info->err->msg_code != JWRN_JPEG_EOF) return;
  std::snprintf(reinterpret_cast<JpegFailure*>(info->err)->text, JMSG_LENGTH_MAX, "is cut off");
  leave_jpeg(info);
}

void on_jpeg_progress(j_common_ptr info) {
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= kMostScans) return;
  std::snprintf(reinterpret_cast<JpegFailure*>(info->err)->text, JMSG_LENGTH_MAX, "has more than %d scans", kMostScans);
  leave_jpeg(info);
}

struct JpegFile {
  jpeg_decompress_struct info{};
  JpegFailure failure;
  jpeg_progress_mgr progress{};

  JpegFile() = default;
  JpegFile(const JpegFile&) = delete;
  JpegFile& operator=(const JpegFile&) = delete;
  ~JpegFile() { jpeg_destroy_decompress(&info); }
};

/// `call` makes nothing that has a destructor.
template <class Call>
[[gnu::noinline]] void guarded(JpegFailure& failure, const Call& call) {
  if (setjmp(failure.target) != 0) throw Error(std::string(failure.text));
  call();
}

/// [width][4] to [width][3], in place. Files hold inks inverted, as Adobe's do.
void cmyk_to_rgb(std::vector<std::uint8_t>& row, std::size_t width) {
  for (std::size_t x = 0; x < width; ++x) {
    const unsigned light = row[4 * x + 3];
    for (std::size_t c = 0; c < 3; ++c) {
      const unsigned product = (255u - row[4 * x + c]) * light + 128;  // ink times light, over 255, rounded
      row[3 * x + c] = static_cast<std::uint8_t>(light - (((product >> 8) + product) >> 8));
    }
  }
}

class Jpeg final : public Picture {
 public:
  Jpeg(std::span<const std::byte> file, std::int64_t most_pixels) {
    info_.err = jpeg_std_error(&jpeg_.failure.manager);
    info_.err->error_exit = on_jpeg_error;
    info_.err->emit_message = on_jpeg_message;
    guarded(jpeg_.failure, [&] {
      jpeg_create_decompress(&info_);
      jpeg_.progress.progress_monitor = on_jpeg_progress;
      info_.progress = &jpeg_.progress;
      jpeg_mem_src(&info_, reinterpret_cast<const unsigned char*>(file.data()), file.size());
      jpeg_read_header(&info_, TRUE);
    });
    set_size(info_.image_width, info_.image_height, most_pixels);
    const int channels = info_.num_components;
    if (channels != 1 && channels != 3 && channels != 4) throw Error("has {} channels", channels);
    info_.out_color_space = channels == 4 ? JCS_CMYK : JCS_RGB;
  }

  const std::uint8_t* next_row() override {
    if (row_.empty()) {
      guarded(jpeg_.failure, [&] { jpeg_start_decompress(&info_); });
      row_.resize(static_cast<std::size_t>(width()) * (info_.out_color_space == JCS_CMYK ? 4 : 3));
    }
    JSAMPROW row = row_.data();
    guarded(jpeg_.failure, [&] { jpeg_read_scanlines(&info_, &row, 1); });
    if (info_.out_color_space == JCS_CMYK) cmyk_to_rgb(row_, static_cast<std::size_t>(width()));
    return row_.data();
  }

 private:
  JpegFile jpeg_;
  jpeg_decompress_struct& info_ = jpeg_.info;
  std::vector<std::uint8_t> row_;
};

}  // namespace

std::unique_ptr<Picture> open_jpeg(std::span<const std::byte> file, std::int64_t most_pixels) {
  return std::make_unique<Jpeg>(file, most_pixels);
}

}  // namespace lossatlas
