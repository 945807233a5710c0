#include "base/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "base/error.h"

namespace lossatlas {
namespace {

constexpr auto kTemporary = ".tmp";

/// An open temporary file; closed and removed unless it was renamed into place.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::filesystem::path& target)
      : target_(target), name_(target.string() + kTemporary + std::to_string(::getpid())) {
    descriptor_ = ::open(name_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (descriptor_ < 0) fail("cannot be created");
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

}  // namespace

void write_atomically(const std::filesystem::path& file, const std::function<void(const ByteSink&)>& produce) {
  TemporaryFile temporary(file);
  produce([&](std::span<const std::byte> bytes) { temporary.append(bytes); });
  temporary.move_into_place();
}

void remove_temporaries(const std::filesystem::path& file) {
  const std::string stem = file.filename().string() + kTemporary;
  const auto is_temporary = [&](const std::string& name) {
    return name.size() > stem.size() && name.starts_with(stem) &&
           name.find_first_not_of("0123456789", stem.size()) == std::string::npos;
  };
  std::vector<std::filesystem::path> left;
  std::error_code code;
  const auto folder = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
  for (const auto& entry : std::filesystem::directory_iterator(folder, code)) {
    if (is_temporary(entry.path().filename().string())) left.push_back(entry.path());
  }
  for (const auto& path : left) std::filesystem::remove(path, code);
}

void make_folder(const std::filesystem::path& folder) {
  std::error_code code;
  std::filesystem::create_directories(folder, code);
  if (code) throw Error("{}: the folder cannot be made ({})", folder.string(), code.message());
}

}  // namespace lossatlas
