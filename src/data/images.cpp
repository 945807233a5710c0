#include "data/images.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/descriptor.h"
#include "base/error.h"
#include "base/files.h"
#include "base/sha256.h"
#include "data/image_cache.h"
#include "data/image_folder.h"
#include "data/parallel.h"
#include "data/picture.h"
#include "data/resample.h"

namespace lossatlas {
namespace {

constexpr std::int64_t kLargePicture = 1 << 24;  // pixels; larger ones are decoded one at a time, for their memory

void read_file(const std::filesystem::path& file, std::vector<std::byte>& bytes) {
  const Descriptor descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (descriptor.get() < 0 || ::fstat(descriptor.get(), &status) != 0) {
    throw Error("{}: cannot be opened ({})", file.string(), std::strerror(errno));
  }
  if (const auto other = kind_of(file); !other.empty()) throw Error("{}: {}, not a file", file.string(), other);
  bytes.resize(static_cast<std::size_t>(status.st_size));
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t read = ::read(descriptor.get(), bytes.data() + done, bytes.size() - done);
    if (read < 0 && errno == EINTR) continue;
    if (read < 0) throw Error("{}: cannot be read ({})", file.string(), std::strerror(errno));
    if (read == 0) break;
    done += static_cast<std::size_t>(read);
  }
  bytes.resize(done);
}

/// Decodes the pictures of a folder into images of one size.
class Decoder {
 public:
  Decoder(const ImageFolder& folder, const ImageOptions& options)
      : folder_(folder), options_(options), interpolation_(interpolation_of(options.interpolation)) {
    if (!options.crop.empty()) {
      shape_ = {3, options.crop.front(), options.crop.back()};
    } else if (options.resize.size() == 2) {
      shape_ = {3, options.resize[0], options.resize[1]};
    } else {
      find_shape();
    }
  }

  /// Into a cache.
  DecodedImages run(const std::filesystem::path& file, const CacheKey& key, const DataObserver& observer) {
    CacheWriter writer(file, static_cast<std::int64_t>(folder_.files.size()), shape_);
    std::vector<BadPicture> bad;
    std::mutex mutex;
    const auto make_worker = [&]() -> Worker {
      const auto size = static_cast<std::size_t>(shape_[0] * shape_[1] * shape_[2]);
      return [&, bytes = std::vector<std::byte>(), image = std::vector<std::uint8_t>(size)](std::int64_t i) mutable {
        read_file(path_of(i), bytes);
        if (const auto reason = decode(i, bytes, image)) {
          const std::lock_guard lock(mutex);
          bad.push_back({i, *reason});
        } else {
          writer.write(i, image);
        }
      };
    };
    run_parallel(static_cast<std::int64_t>(folder_.files.size()), make_worker, observer.on_progress);
    std::ranges::sort(bad, {}, &BadPicture::file);
    return writer.finish(key, std::move(bad));
  }

 private:
  std::filesystem::path path_of(std::int64_t i) const {
    return folder_.folder / folder_.files[static_cast<std::size_t>(i)].name;
  }

  /// That of the first picture whose head can be read.
  void find_shape() {
    std::vector<std::byte> bytes;
    for (; shape_.empty() && first_ < static_cast<std::int64_t>(folder_.files.size()); ++first_) {
      read_file(path_of(first_), bytes);
      try {
        const auto picture = open_picture(bytes);
        const Cropping cropping = cropping_of(picture->width(), picture->height(), options_);
        shape_ = {3, cropping.y.size, cropping.x.size};
      } catch (const Error&) {
      }
    }
    if (shape_.empty()) throw Error("{}: none of {} images can be decoded", folder_.folder.string(), first_);
    --first_;
  }

  /// Why it is not possible, or nothing.
  std::optional<std::string> decode(std::int64_t i, std::span<const std::byte> bytes, std::span<std::uint8_t> image) {
    std::unique_lock<std::mutex> alone;
    Cropping cropping;
    try {
      const auto picture = open_picture(bytes);
      if (picture->width() * picture->height() > kLargePicture) alone = std::unique_lock(large_);
      cropping = cropping_of(picture->width(), picture->height(), options_);
      if (cropping.y.size == shape_[1] && cropping.x.size == shape_[2]) {
        resample(*picture, cropping, interpolation_, image);
        return std::nullopt;
      }
    } catch (const Error& error) {
      return error.what();
    }
    throw Error("{}: {}x{} pixels (height x width), but {} has {}x{}; give `crop`, or height and width to `resize`",
                path_of(i).string(), cropping.y.size, cropping.x.size, path_of(first_).string(), shape_[1], shape_[2]);
  }

  const ImageFolder& folder_;
  const ImageOptions& options_;
  Interpolation interpolation_;
  std::vector<std::int64_t> shape_;  // [3, H, W] of an image
  std::int64_t first_ = 0;           // the file that decided it
  std::mutex large_;
};

CacheKey key_of(const ImageFolder& folder, const ImageOptions& options) {
  Sha256 files;
  for (const PictureFile& file : folder.files) {
    const std::string line = fmt::format("{}{}{} {}\n", file.name, '\0', file.bytes, file.time);
    files.add(std::as_bytes(std::span(line)));
  }
  return {{{"folder", std::filesystem::canonical(folder.folder).string()},
           {"resize", options.resize},
           {"crop", options.crop},
           {"interpolation", options.interpolation}},
          files.finish()};
}

/// Refuses pictures that cannot be decoded, or says that they are left out.
void report_bad(const ImageFolder& folder, const std::vector<BadPicture>& bad, bool skip,
                const DataObserver& observer) {
  constexpr std::size_t kNamed = 5;
  if (bad.empty()) return;
  std::string names;
  for (std::size_t i = 0; i < std::min(bad.size(), kNamed); ++i) {
    names += fmt::format("{}{} ({})", i == 0 ? "" : ", ", folder.files[static_cast<std::size_t>(bad[i].file)].name,
                         bad[i].reason);
  }
  if (bad.size() > kNamed) names += fmt::format(" and {} more", bad.size() - kNamed);
  const std::string text =
      fmt::format("{}: {} of {} images cannot be decoded", folder.folder.string(), bad.size(), folder.files.size());
  const bool has_others = bad.size() < folder.files.size();
  if (!skip || !has_others) {
    throw Error("{}: {}{}", text, names, has_others ? "; `skip_bad` leaves them out" : "");
  }
  if (observer.on_note) observer.on_note(fmt::format("{} and are left out: {}", text, names));
}

}  // namespace

DataSet load_images(const std::string& name, Split split, const ImageOptions& options, const DataObserver& observer) {
  const ImageFolder folder = list_images(name, split);
  const CacheKey key = key_of(folder, options);
  const auto file = cache_file(cache_folder(options.cache), key);
  auto images = read_cache(file, key, observer);
  if (!images) images = Decoder(folder, options).run(file, key, observer);
  report_bad(folder, images->bad, options.skip_bad, observer);
  DataSet data;
  const auto& shape = images->pixels.shape();
  data.shape = {shape[1], shape[2], shape[3]};
  data.classes = static_cast<std::int64_t>(folder.classes.size());
  data.pixels = images->pixels;
  data.normalization = {{0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}};
  auto bad = images->bad.begin();
  for (std::size_t i = 0; i < folder.files.size(); ++i) {
    if (bad != images->bad.end() && bad->file == static_cast<std::int64_t>(i)) {
      ++bad;
    } else {
      data.labels.push_back(folder.files[i].label);
    }
  }
  return data;
}

}  // namespace lossatlas
