#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "base/descriptor.h"
#include "base/error.h"

namespace lossatlas {

MappedFile::MappedFile(const std::filesystem::path& file) {
  const Descriptor descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (descriptor.get() < 0 || ::fstat(descriptor.get(), &status) != 0) {
    throw Error("{}: cannot be opened: {}", file.string(), std::strerror(errno));
  }
  if (!S_ISREG(status.st_mode)) {
    throw Error("{}: {}, not a file", file.string(), S_ISDIR(status.st_mode) ? "a folder" : "a pipe or a device");
  }
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ == 0) return;  // nothing to map
  begin_ = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor.get(), 0);
  if (begin_ == MAP_FAILED) {
    begin_ = nullptr;
    throw Error("{}: cannot be mapped into memory: {}", file.string(), std::strerror(errno));
  }
}

MappedFile::~MappedFile() {
  if (begin_ != nullptr) ::munmap(begin_, size_);
}

}  // namespace lossatlas
