#include "kernels/kernels.h"

#include <algorithm>
#include <stdexcept>

namespace lossatlas {

extern const Kernels kPortableKernels;
#ifdef __x86_64__
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
extern const Kernels kAmxKernels;
extern const Kernels kAmxBf16Kernels;
#endif

const Kernels& kernels_of(InstructionSet set, Precision precision) {
  if (!is_available(set, precision)) throw std::logic_error("kernels_of: this processor has no such instructions");
#ifdef __x86_64__
  if (set == InstructionSet::amx) return precision == Precision::bf16 ? kAmxBf16Kernels : kAmxKernels;
  if (set == InstructionSet::avx512) return kAvx512Kernels;
  if (set == InstructionSet::avx2) return kAvx2Kernels;
#endif
  return kPortableKernels;
}

void gather_planar(const PlanarImages& in, const Window& window, std::int64_t out_height, std::int64_t out_width,
                   std::int64_t first, std::int64_t count, float* rows) {
  const std::int64_t depth = in.channels * window.taps();
  std::fill(rows, rows + blocks_of(depth) * staggered(count), 0.0f);
  for (std::int64_t k = 0; k < depth; ++k) {
    const std::int64_t channel = k / window.taps(), tap = k % window.taps();
    const std::int64_t down = tap / window.width * window.dilation_y - window.padding_y;
    const std::int64_t right = tap % window.width * window.dilation_x - window.padding_x;
    // The outputs of a row whose window has this tap inside the image.
    const std::int64_t begin = right < 0 ? (-right + window.stride_x - 1) / window.stride_x : 0;
    const std::int64_t end = std::min(out_width, (in.width - 1 - right + window.stride_x) / window.stride_x);
    float* to = rows + k / kBlock * staggered(count) + k % kBlock;
    for (std::int64_t row = 0; row < count;) {
      const std::int64_t line = (first + row) / out_width, x = (first + row) % out_width;
      const std::int64_t stop = std::min(out_width, x + count - row);
      const std::int64_t y = line % out_height * window.stride_y + down;
      if (y >= 0 && y < in.height) {
        const float* from = in.data + ((line / out_height * in.channels + channel) * in.height + y) * in.width + right;
        for (std::int64_t i = std::max(x, begin); i < std::min(stop, end); ++i) {
          to[(row + i - x) * kBlock] = from[i * window.stride_x];
        }
      }
      row += stop - x;
    }
  }
}

}  // namespace lossatlas
