#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "data/array.h"
#include "data/data_set.h"

namespace lossatlas {

/// A picture that cannot be decoded.
struct BadPicture {
  std::int64_t file = 0;  // its number
  std::string reason;
};

/// The images of all other files, in their order.
struct DecodedImages {
  Array pixels;  // uint8 [N, 3, H, W], mapped from the cache
  std::vector<BadPicture> bad;
};

/// The folder of caches: the one that was asked for, or XDG_CACHE_HOME/lossatlas, or ~/.cache/lossatlas.
std::filesystem::path cache_folder(const std::filesystem::path& asked);

/// What a cache file says of itself, beside its images: a file of the same settings whose `files` are others is of
/// files that have changed since.
struct CacheKey {
  nlohmann::json settings;  // the folder, and how pictures become images: name the file
  std::string files;        // a digest of the list of files
};

/// settings' digest, in the folder: "….images".
std::filesystem::path cache_file(const std::filesystem::path& folder, const CacheKey& key);

/// The images that the file holds, every one checked; nothing if there is no such file. Nothing, with a note, if it is
/// of other files or of another version of the format, or is damaged. Throws Error if it is no cache at all.
std::optional<DecodedImages> read_cache(const std::filesystem::path& file, const CacheKey& key,
                                        const DataObserver& observer);

/// Writes a cache, image by image, to a temporary file next to it, which is removed unless it is finished. Several
/// processes may write the same cache: each its own, and the last one stays.
class CacheWriter {
 public:
  /// `shape`: [3, H, W]. Throws Error if there is not enough space for the images of `files` files.
  CacheWriter(std::filesystem::path file, std::int64_t files, const std::vector<std::int64_t>& shape);
  CacheWriter(const CacheWriter&) = delete;
  CacheWriter& operator=(const CacheWriter&) = delete;

  /// The image of a file; from several threads, each file once.
  void write(std::int64_t file, std::span<const std::uint8_t> image);
  /// Puts the file in its place. `bad`: the files without an image, in order.
  DecodedImages finish(const CacheKey& key, std::vector<BadPicture> bad);

 private:
  void write_at(std::uint64_t place, std::span<const std::byte> bytes);
  void close_gaps(const std::vector<BadPicture>& bad);
  [[noreturn]] void fail(int reason) const;

  /// Removed with its owner, unless it was renamed.
  struct Temporary {
    std::filesystem::path path;
    ~Temporary();
  };

  std::filesystem::path file_;
  Temporary temporary_;
  std::vector<std::int64_t> shape_;  // [N, 3, H, W]
  std::size_t image_bytes_;
  std::vector<std::uint32_t> checks_;  // CRC-32 of each image
  std::optional<Descriptor> descriptor_;
};

}  // namespace lossatlas
