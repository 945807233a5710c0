#include "data/image_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "base/crc32.h"
#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "base/sha256.h"
#include "data/parallel.h"

// A cache file: the head, the images, a description as JSON, the CRC-32 of each image, the tail.

namespace lossatlas {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view kCacheMagic = "lossatlas images ";
constexpr std::string_view kCacheHead = "lossatlas images 1\n";  // with the version of the format
constexpr auto kTemporary = ".tmp";

struct CacheTail {
  std::uint64_t images;
  std::uint64_t description_bytes;
  std::uint32_t check;  // CRC-32 of the description and the images' CRC-32
  std::uint32_t unused;
};

struct Description {
  CacheKey key;
  std::vector<std::int64_t> shape;  // [N, 3, H, W]
  std::vector<BadPicture> bad;
};

std::string text_of(const Description& description) {
  json bad = json::array();
  for (const BadPicture& picture : description.bad) bad.push_back({picture.file, picture.reason});
  return json_text(json{{"settings", description.key.settings},
                        {"files", description.key.files},
                        {"shape", description.shape},
                        {"bad", bad}});
}

/// Of what text_of wrote.
Description description_from(std::string_view text) {
  const json parsed = parse_json(text);
  Description description{{parsed.at("settings"), parsed.at("files")}, parsed.at("shape"), {}};
  for (const json& picture : parsed.at("bad")) description.bad.push_back({picture.at(0), picture.at(1)});
  return description;
}

std::size_t image_bytes_of(const std::vector<std::int64_t>& shape) {
  return static_cast<std::size_t>(shape[1] * shape[2] * shape[3]);
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

struct CacheContents {
  Description description;
  std::vector<std::uint32_t> checks;
};

/// Nothing if the file is damaged; whether its images are is not looked at.
std::optional<CacheContents> contents_of(std::span<const std::byte> file) {
  CacheTail tail{};
  if (file.size() < kCacheHead.size() + sizeof tail) return std::nullopt;
  std::memcpy(&tail, file.last(sizeof tail).data(), sizeof tail);
  const auto body = file.subspan(kCacheHead.size(), file.size() - kCacheHead.size() - sizeof tail);
  if (tail.images > body.size() / sizeof(std::uint32_t)) return std::nullopt;
  const auto of_checks = body.last(tail.images * sizeof(std::uint32_t));
  const auto before = body.first(body.size() - of_checks.size());
  if (tail.description_bytes > before.size()) return std::nullopt;
  const auto of_description = before.last(tail.description_bytes);
  if (crc32(of_checks, crc32(of_description)) != tail.check) return std::nullopt;
  CacheContents contents{description_from(as_text(of_description)), std::vector<std::uint32_t>(tail.images)};
  if (image_bytes_of(contents.description.shape) * tail.images != before.size() - of_description.size()) {
    return std::nullopt;
  }
  std::memcpy(contents.checks.data(), of_checks.data(), of_checks.size());
  return contents;
}

/// Reads the images into small buffers: through the mapping, all of them would count as the program's memory.
bool has_all_images(const fs::path& file, const CacheContents& contents) {
  const Descriptor descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  const std::size_t size = image_bytes_of(contents.description.shape);
  std::atomic<bool> is_whole = true;
  run_parallel(static_cast<std::int64_t>(contents.checks.size()), [&]() -> Worker {
    return [&, image = std::vector<std::byte>(size)](std::int64_t i) mutable {
      const auto number = static_cast<std::size_t>(i);
      const ssize_t read =
          ::pread(descriptor.get(), image.data(), size, static_cast<off_t>(kCacheHead.size() + size * number));
      if (read != static_cast<ssize_t>(size) || crc32(image) != contents.checks[number]) is_whole = false;
    };
  });
  return is_whole;
}

DecodedImages mapped(std::shared_ptr<const MappedFile> file, const Description& description) {
  const std::byte* images = file->bytes().data() + kCacheHead.size();
  return {Array(NumberType::uint8, description.shape, std::shared_ptr<const void>(std::move(file), images)),
          description.bad};
}

std::string size_text(double bytes) {
  if (bytes < 1e6) return fmt::format("{:.0f} kB", bytes / 1e3);
  return bytes < 1e9 ? fmt::format("{:.1f} MB", bytes / 1e6) : fmt::format("{:.1f} GB", bytes / 1e9);
}

void check_space(const fs::path& folder, std::uint64_t bytes) {
  struct statvfs disk {};
  if (::statvfs(folder.c_str(), &disk) != 0) return;
  const std::uint64_t left = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  if (left >= bytes) return;
  throw Error("{}: the decoded images take {}, and {} are free; choose a folder on another disk with `image_cache`",
              folder.string(), size_text(static_cast<double>(bytes)), size_text(static_cast<double>(left)));
}

/// Removes what killed processes left: a file that is written is locked.
void remove_left_over(const fs::path& file) {
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(file.parent_path(), code)) {
    if (!entry.path().filename().string().starts_with(file.filename().string() + kTemporary)) continue;
    if (!begins_with(entry.path(), kCacheHead)) continue;
    const Descriptor left(::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC));
    if (left.get() >= 0 && ::flock(left.get(), LOCK_EX | LOCK_NB) == 0) fs::remove(entry.path(), code);
  }
}

void check_is_cache(const fs::path& file) {
  std::error_code code;
  if (!fs::exists(file, code) || fs::file_size(file, code) == 0 || begins_with(file, kCacheMagic)) return;
  throw Error("{}: is not a cache of images; move it, or choose another folder with `image_cache`", file.string());
}

}  // namespace

fs::path cache_folder(const fs::path& asked) {
  if (!asked.empty()) return fs::absolute(in_home(asked.string()));
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && fs::path(cache).is_absolute()) {
    return fs::path(cache) / "lossatlas";
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') {
    return fs::absolute(home) / ".cache" / "lossatlas";
  }
  throw Error("HOME is not set; name a folder for the decoded images with `image_cache`");
}

fs::path cache_file(const fs::path& folder, const CacheKey& key) {
  return folder / (sha256_of_text(json_text(key.settings)).substr(0, 32) + ".images");
}

std::optional<DecodedImages> read_cache(const fs::path& file, const CacheKey& key, const DataObserver& observer) {
  std::error_code code;
  if (!fs::exists(file, code)) return std::nullopt;
  check_is_cache(file);
  const auto again = [&](const std::string& why) {
    const auto folder = key.settings.at("folder").get<std::string>();
    if (observer.on_note) observer.on_note(fmt::format("{}: {}; the images are decoded again", folder, why));
    return std::nullopt;
  };
  const auto is = [&](const char* what) { return fmt::format("its cache {} is {}", file.string(), what); };
  const auto mapping = std::make_shared<const MappedFile>(file);
  if (!as_text(mapping->bytes()).starts_with(kCacheHead)) return again(is("of another version, or damaged"));
  const auto contents = contents_of(mapping->bytes());
  if (!contents) return again(is("damaged"));
  const Description& description = contents->description;
  if (json_text(description.key.settings) != json_text(key.settings)) return again(is("of other settings"));
  if (description.key.files != key.files) return again("files have changed since they were decoded");
  if (!has_all_images(file, *contents)) return again(is("damaged"));
  return mapped(mapping, description);
}

CacheWriter::CacheWriter(fs::path file, std::int64_t files, const std::vector<std::int64_t>& shape)
    : file_(std::move(file)), shape_(shape), checks_(static_cast<std::size_t>(files)) {
  shape_.insert(shape_.begin(), files);
  image_bytes_ = image_bytes_of(shape_);
  make_folder_of(file_);
  remove_left_over(file_);
  check_space(file_.parent_path(), static_cast<std::uint64_t>(files) * (image_bytes_ + sizeof(std::uint32_t)));
  for (int number = 1; !descriptor_; ++number) {
    const std::string name = fmt::format("{}{}{}-{}", file_.string(), kTemporary, ::getpid(), number);
    const int opened = ::open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (opened < 0 && errno != EEXIST) fail(errno);
    if (opened < 0) continue;
    descriptor_.emplace(opened);
    temporary_.path = name;
  }
  ::flock(descriptor_->get(), LOCK_EX | LOCK_NB);
  write_at(0, std::as_bytes(std::span(kCacheHead)));
}

CacheWriter::Temporary::~Temporary() {
  if (!path.empty()) ::unlink(path.c_str());
}

void CacheWriter::write(std::int64_t file, std::span<const std::uint8_t> image) {
  const auto number = static_cast<std::size_t>(file);
  const auto bytes = std::as_bytes(image);
  checks_[number] = crc32(bytes);
  write_at(kCacheHead.size() + number * image_bytes_, bytes);
}

DecodedImages CacheWriter::finish(const CacheKey& key, std::vector<BadPicture> bad) {
  close_gaps(bad);
  shape_[0] = static_cast<std::int64_t>(checks_.size());
  const Description description{key, shape_, std::move(bad)};
  const std::string words = text_of(description);
  const auto of_words = std::as_bytes(std::span(words)), of_checks = std::as_bytes(std::span(checks_));
  const CacheTail tail{.images = checks_.size(),
                       .description_bytes = words.size(),
                       .check = crc32(of_checks, crc32(of_words)),
                       .unused = 0};
  std::uint64_t end = kCacheHead.size() + checks_.size() * image_bytes_;
  for (const auto& part : {of_words, of_checks, std::as_bytes(std::span(&tail, 1))}) {
    write_at(end, part);
    end += part.size();
  }
  if (::ftruncate(descriptor_->get(), static_cast<off_t>(end)) != 0) fail(errno);
  // No fsync: what a power failure leaves unwritten is found by the CRC-32. But a network file system says only when a
  // descriptor is closed that the disk was full.
  if (::close(::dup(descriptor_->get())) != 0) fail(errno);
  check_is_cache(file_);
  auto mapping = std::make_shared<const MappedFile>(temporary_.path);
  if (::rename(temporary_.path.c_str(), file_.c_str()) != 0) fail(errno);
  temporary_.path.clear();
  return mapped(std::move(mapping), description);
}

/// Moves the images together: files without one took the room of one.
void CacheWriter::close_gaps(const std::vector<BadPicture>& bad) {
  if (bad.empty()) return;
  std::vector<std::byte> image(image_bytes_);
  std::size_t kept = 0;
  auto next_bad = bad.begin();
  for (std::size_t i = 0; i < checks_.size(); ++i) {
    if (next_bad != bad.end() && next_bad->file == static_cast<std::int64_t>(i)) {
      ++next_bad;
      continue;
    }
    if (kept != i) {
      const auto place = static_cast<off_t>(kCacheHead.size() + i * image_bytes_);
      if (::pread(descriptor_->get(), image.data(), image_bytes_, place) != static_cast<ssize_t>(image_bytes_)) {
        fail(errno);
      }
      write_at(kCacheHead.size() + kept * image_bytes_, image);
      checks_[kept] = checks_[i];
    }
    ++kept;
  }
  checks_.resize(kept);
}

void CacheWriter::write_at(std::uint64_t place, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(descriptor_->get(), bytes.data(), bytes.size(), static_cast<off_t>(place));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    place += static_cast<std::uint64_t>(written);
  }
}

void CacheWriter::fail(int reason) const {
  throw Error("{}: cannot be written ({}); choose another folder with `image_cache`", file_.string(),
              std::strerror(reason));
}

}  // namespace lossatlas
