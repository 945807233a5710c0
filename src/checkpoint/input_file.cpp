#include "checkpoint/input_file.h"

#include <c10/util/Exception.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <string_view>

#include "base/error.h"
#include "base/files.h"

namespace lossatlas {

namespace {

/// Throws for what cannot be read more than once, or at any place, before opening it waits for a writer.
const std::filesystem::path& checked(const std::filesystem::path& file) {
  const auto kind = kind_of(file);
  if (kind == "a folder") throw Error("is a folder, not a checkpoint");
  if (!kind.empty()) throw Error("is {}, not a file; copy what it gives to a file first", kind);
  return file;
}

/// The first sentence of LibTorch's message, without the place in its source.
std::string_view reason(std::string_view message) {
  constexpr std::string_view place_ends = "] . ";
  if (const std::size_t place = message.find(place_ends); message.starts_with('[') && place != message.npos) {
    message.remove_prefix(place + place_ends.size());
  }
  message = message.substr(0, message.find('\n'));
  return message.substr(0, message.find(". "));
}

}  // namespace

InputFile::InputFile(const std::filesystem::path& file)
    : descriptor_(::open(checked(file).c_str(), O_RDONLY | O_CLOEXEC)) {
  const int reason = errno;
  if (descriptor_.get() < 0) {
    throw Error("cannot be opened: {}", std::strerror(reason));
  }
  struct stat now {};
  if (::fstat(descriptor_.get(), &now) == 0) size_ = static_cast<std::uint64_t>(now.st_size);
}

void InputFile::read(std::uint64_t offset, std::span<std::byte> bytes) const {
  const std::uint64_t end = offset + bytes.size();
  bool inside = offset <= size_ && bytes.size() <= size_ - offset;
  if (inside && content_) {
    std::copy_n(std::as_bytes(std::span(*content_)).begin() + static_cast<std::ptrdiff_t>(offset), bytes.size(),
                bytes.begin());
    return;
  }
  while (inside && !bytes.empty()) {
    const ssize_t count =
        ::pread(descriptor_.get(), bytes.data(), bytes.size(), static_cast<off_t>(end - bytes.size()));
    if (count < 0 && errno == EINTR) continue;
    inside = count > 0;
    if (inside) bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  if (!inside) {
    throw Error("breaks off before byte {}: it is damaged or incomplete", end);
  }
}

void InputFile::load() {
  if (!content_) content_ = std::make_shared<const std::string>(text(0, size_));
}

std::string InputFile::text(std::uint64_t offset, std::uint64_t count) const {
  std::string text(std::min(count, size_ - std::min(offset, size_)), '\0');
  read(std::min(offset, size_), std::as_writable_bytes(std::span(text)));
  return text;
}

void rethrow_with_name(const std::filesystem::path& file) {
  try {
    throw;
  } catch (const Error& error) {
    const std::string name = file.string() + ": ";
    throw Error("{}{}", std::string_view(error.what()).starts_with(name) ? "" : name, error.what());
  } catch (const c10::Error& error) {
    throw Error("{}: is damaged or incomplete, or not a checkpoint ({})", file.string(),
                reason(error.what_without_backtrace()));
  } catch (const std::bad_alloc&) {
    throw Error("{}: does not fit into memory", file.string());
  } catch (const std::filesystem::filesystem_error& error) {
    throw Error("{}: {}", file.string(), error.code().message());
  }
}

}  // namespace lossatlas
