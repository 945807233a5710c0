#include "storage/global_heaps.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>

#include "base/error.h"

namespace lossatlas {
namespace {

constexpr std::string_view kStart{"GCOL\1\0\0\0", 8};  // signature, version 1, three reserved bytes
constexpr std::uint64_t kHeader = 16;                  // of the collection, and of each object in it

class HeapWalker {
 public:
  explicit HeapWalker(const std::filesystem::path& file)
      : name_(file.string()), in_(file, std::ios::binary), left_(std::filesystem::file_size(file)) {}

  /// A collection may stand anywhere: a damaged file can point to any byte.
  void walk_all() {
    constexpr std::size_t block = std::size_t{1} << 20;
    std::string bytes(block, '\0');
    for (std::uint64_t begin = 0;; begin += block - kStart.size() + 1) {
      const std::size_t count = read(begin, bytes.data(), block);
      const std::string_view view(bytes.data(), count);
      for (std::size_t at = view.find(kStart); at != view.npos; at = view.find(kStart, at + 1)) walk(begin + at);
      if (count < block) return;
    }
  }

 private:
  std::size_t read(std::uint64_t begin, char* bytes, std::size_t count) {
    in_.clear();
    in_.seekg(static_cast<std::streamoff>(begin));
    in_.read(bytes, static_cast<std::streamsize>(count));
    return static_cast<std::size_t>(in_.gcount());
  }

  /// The 8 bytes that stand last in a header: a size in bytes.
  struct Header {
    std::uint16_t index = 0;
    std::uint64_t size = 0;
  };
  Header header(std::uint64_t begin) {
    char bytes[kHeader];
    if (read(begin, bytes, sizeof bytes) < sizeof bytes) fail();
    Header header;
    std::memcpy(&header.index, bytes, sizeof header.index);
    std::memcpy(&header.size, bytes + kHeader - sizeof header.size, sizeof header.size);
    return header;
  }

  void walk(std::uint64_t begin) {
    std::uint64_t rest = header(begin).size;
    if (rest < kHeader) fail();
    begin += kHeader;
    rest -= kHeader;
    while (rest >= kHeader) {
      const std::uint64_t taken = room(header(begin));
      if (taken == 0 || taken > rest) fail();
      begin += taken;
      rest -= taken;
    }
  }

  /// Free space (index 0) counts its header, other objects are padded to 8 bytes and do not.
  std::uint64_t room(const Header& object) {
    // Whole collections do not overlap: more steps than the file has headers are a trap.
    if (left_ < kHeader || object.size > UINT64_MAX - 2 * kHeader) fail();
    left_ -= kHeader;
    return object.index == 0 ? object.size : kHeader + (object.size + 7) / 8 * 8;
  }

  [[noreturn]] void fail() const { throw Error("{}: damaged, its texts cannot be read", name_); }

  std::string name_;
  std::ifstream in_;
  std::uint64_t left_;  // bytes of the file that may still be headers
};

}  // namespace

void check_global_heaps(const std::filesystem::path& file) { HeapWalker(file).walk_all(); }

}  // namespace lossatlas
