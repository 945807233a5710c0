#include "base/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"

namespace lossatlas {
namespace {

constexpr auto kTemporary = ".tmp";

/// An open temporary file; closed and removed unless it was renamed into place.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::filesystem::path& target) : target_(real_file(target)) {
    if (const auto kind = kind_of(target_); !kind.empty()) throw Error("{}: {}, not a file", target_.string(), kind);
    const std::string stem = target_.string() + kTemporary + std::to_string(::getpid());
    name_ = stem;
    // One that a process of the same number left, or somebody else's, is not overwritten.
    for (int number = 2; (descriptor_ = ::open(name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)) < 0;
         ++number) {
      if (errno != EEXIST) fail("cannot be created");
      name_ = stem + "-" + std::to_string(number);
    }
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
    if (!renamed_) ::unlink(name_.c_str());
  }

  void append(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail("cannot be written");
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
  }

  void move_into_place() {
    if (::fsync(descriptor_) != 0 && errno != EINVAL) fail("cannot be written");
    const int descriptor = descriptor_;
    descriptor_ = -1;
    if (::close(descriptor) != 0) fail("cannot be written");
    if (::rename(name_.c_str(), target_.c_str()) != 0) fail("cannot be replaced");
    renamed_ = true;
    sync_folder();
  }

 private:
  /// Makes the rename last through a power failure, where the file system can.
  void sync_folder() const {
    const auto folder = target_.has_parent_path() ? target_.parent_path() : std::filesystem::path(".");
    const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return;
    ::fsync(descriptor);
    ::close(descriptor);
  }

  [[noreturn]] void fail(const char* what) const {
    throw Error("{}: {} ({})", target_.string(), what, std::strerror(errno));
  }

  std::filesystem::path target_;
  std::string name_;
  int descriptor_ = -1;
  bool renamed_ = false;
};

/// The first `count` bytes of a regular file, or as many as there are. Nothing for anything else.
std::optional<std::string> first_bytes(const std::filesystem::path& file, std::size_t count) {
  std::error_code code;
  if (!std::filesystem::is_regular_file(std::filesystem::symlink_status(file, code))) return std::nullopt;
  std::ifstream stream(file, std::ios::binary);
  std::string bytes(count, '\0');
  stream.read(bytes.data(), static_cast<std::streamsize>(count));
  if (stream.bad()) return std::nullopt;
  bytes.resize(static_cast<std::size_t>(stream.gcount()));
  return bytes;
}

}  // namespace

std::string_view kind_of(const std::filesystem::path& file) {
  std::error_code code;
  switch (std::filesystem::status(file, code).type()) {
    case std::filesystem::file_type::directory: return "a folder";
    case std::filesystem::file_type::fifo: return "a pipe";
    case std::filesystem::file_type::socket: return "a socket";
    case std::filesystem::file_type::character:
    case std::filesystem::file_type::block: return "a device";
    default: return "";
  }
}

std::string in_home(const std::string& file) {
  const char* home = std::getenv("HOME");
  const bool is_in_home = file == "~" || file.starts_with("~/");
  return is_in_home && home != nullptr ? home + file.substr(1) : file;
}

std::filesystem::path real_file(std::filesystem::path file) {
  constexpr int kMostLinks = 40;  // as Linux
  std::error_code code;
  for (int links = 0; std::filesystem::is_symlink(file, code); ++links) {
    if (links == kMostLinks) throw Error("{}: symbolic links without an end", file.string());
    file = file.parent_path() / std::filesystem::read_symlink(file);  // an absolute target replaces the folder
  }
  return file;
}

std::optional<std::string> content_of(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return std::nullopt;
  return std::string{std::istreambuf_iterator<char>(stream), {}};
}

NewFile make_new_file(const std::filesystem::path& file, std::string_view content) {
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor < 0 && errno == EEXIST) return NewFile::exists;
  if (descriptor < 0 && errno == ENOENT) return NewFile::no_folder;
  if (descriptor < 0) throw Error("{}: cannot be created ({})", file.string(), std::strerror(errno));
  const bool written = ::write(descriptor, content.data(), content.size()) == static_cast<ssize_t>(content.size());
  const int reason = errno;
  ::close(descriptor);
  if (written) return NewFile::made;
  ::unlink(file.c_str());
  throw Error("{}: cannot be written ({})", file.string(), std::strerror(reason));
}

bool begins_with(const std::filesystem::path& file, std::string_view bytes) {
  return first_bytes(file, bytes.size()) == bytes;
}

void write_atomically(const std::filesystem::path& file, const std::function<void(const ByteSink&)>& produce) {
  TemporaryFile temporary(file);
  produce([&](std::span<const std::byte> bytes) { temporary.append(bytes); });
  temporary.move_into_place();
}

void check_temporary(const std::filesystem::path& file) { const TemporaryFile temporary(file); }

void remove_temporaries(const std::filesystem::path& file, std::string_view bytes) {
  const std::string stem = file.filename().string() + kTemporary;
  const auto is_temporary = [&](const std::string& name) {
    return name.size() > stem.size() && name.starts_with(stem) &&
           name.find_first_not_of("0123456789-", stem.size()) == std::string::npos;
  };
  const auto is_left = [&](const std::filesystem::path& path) {
    const auto first = first_bytes(path, bytes.size());
    return first && bytes.starts_with(*first);
  };
  std::vector<std::filesystem::path> left;
  std::error_code code;
  const auto folder = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
  for (const auto& entry : std::filesystem::directory_iterator(folder, code)) {
    if (is_temporary(entry.path().filename().string()) && is_left(entry.path())) left.push_back(entry.path());
  }
  for (const auto& path : left) std::filesystem::remove(path, code);
}

void make_folder(const std::filesystem::path& folder) {
  std::error_code code;
  std::filesystem::create_directories(folder, code);
  if (code) throw Error("{}: the folder cannot be made ({})", folder.string(), code.message());
}

void make_folder_of(const std::filesystem::path& file) {
  if (file.has_parent_path()) make_folder(file.parent_path());
}

}  // namespace lossatlas
