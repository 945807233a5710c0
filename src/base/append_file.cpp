#include "base/append_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace lossatlas {

AppendFile::AppendFile(std::filesystem::path file)
    : path_(std::move(file)),
      descriptor_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0666)) {
  if (descriptor_.get() < 0) {
    const char* reason = errno == ENXIO ? "nothing reads this pipe" : std::strerror(errno);
    throw Error("{}: cannot be opened for writing ({})", path_.string(), reason);
  }
  ::fcntl(descriptor_.get(), F_SETFL, O_APPEND);  // only the opening must not wait
}

void AppendFile::append(std::span<const std::byte> bytes) {
  ssize_t written = -1;
  do {
    written = ::write(descriptor_.get(), bytes.data(), bytes.size());
  } while (written < 0 && errno == EINTR);
  if (written < 0) fail(errno);
  if (static_cast<std::size_t>(written) == bytes.size()) return;
  // Half of it found room, as on a disk that is full now: take that away again.
  struct stat now {};
  const bool cut = ::fstat(descriptor_.get(), &now) == 0 && ::ftruncate(descriptor_.get(), now.st_size - written) == 0;
  fail(cut ? ENOSPC : errno);
}

void AppendFile::append(std::string_view text) { append(std::as_bytes(std::span(text.data(), text.size()))); }

void AppendFile::sync() {
  if (::fdatasync(descriptor_.get()) != 0 && errno != EINVAL) fail(errno);
  struct stat now {};
  if (::fstat(descriptor_.get(), &now) == 0 && now.st_nlink == 0) {
    throw DeletedFile("{}: cannot be written ({})", path_.string(), std::strerror(ENOENT));
  }
}

void AppendFile::fail(int reason) const {
  throw Error("{}: cannot be written ({})", path_.string(), std::strerror(reason));
}

}  // namespace lossatlas
