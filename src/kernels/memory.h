#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace lossatlas {

/// Bytes of a processor's second-level cache; 1 MB if the system does not report it.
inline std::size_t second_level_cache() {
#ifdef _SC_LEVEL2_CACHE_SIZE
  static const long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
  if (bytes > 0) return static_cast<std::size_t>(bytes);
#endif
  return std::size_t{1} << 20;
}

/// Floats on a cache line's boundary, not initialized. Large ones ask for large pages: kernels walk many distant rows
/// at once, more than the processor remembers small pages.
class AlignedFloats {
 public:
  AlignedFloats() = default;
  explicit AlignedFloats(std::size_t count) : size_(count) {
    const std::size_t bytes = count * sizeof(float);
    const std::size_t alignment = bytes >= kLargePage ? kLargePage : kLine;
    const std::size_t whole = (bytes + alignment - 1) / alignment * alignment;
    data_.reset(static_cast<float*>(std::aligned_alloc(alignment, whole)));
    if (!data_ && whole > 0) throw std::bad_alloc();
#ifdef __linux__
    if (alignment == kLargePage) madvise(data_.get(), whole, MADV_HUGEPAGE);  // a wish: no harm where it is refused
#endif
  }

  float* data() const { return data_.get(); }
  std::size_t size() const { return size_; }

 private:
  static constexpr std::size_t kLine = 64, kLargePage = std::size_t{2} << 20;
  struct Free {
    void operator()(float* data) const { std::free(data); }
  };
  std::unique_ptr<float, Free> data_;
  std::size_t size_ = 0;
};

}  // namespace lossatlas
