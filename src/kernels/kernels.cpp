#include "kernels/kernels.h"

#include <algorithm>
#include <stdexcept>

#ifdef __x86_64__
#include <cpuid.h>
#endif
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace lossatlas {

extern const Kernels kPortableKernels;
#ifdef __x86_64__
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
extern const Kernels kAmxKernels;
extern const Kernels kAmxBf16Kernels;

namespace {

/// Whether the processor has a matrix unit for bfloat16 and whole numbers, and the kernel lets this process use it.
bool has_amx() {
#ifdef LOSSATLAS_EMULATED_TILES
  return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512bf16");
#endif
  constexpr unsigned kAmxBf16 = 1U << 22, kAmxTile = 1U << 24, kAmxInt8 = 1U << 25,
                     kAll = kAmxBf16 | kAmxTile | kAmxInt8;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & kAll) != kAll) return false;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw")) return false;
#ifdef __linux__
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM of arch_prctl(2)
  constexpr unsigned kAvx512Bf16 = 1U << 5;
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d) == 0 || (a & kAvx512Bf16) == 0) return false;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

}  // namespace
#endif

bool is_available(InstructionSet set) {
#ifdef __x86_64__
  static const bool amx = has_amx();
  if (set == InstructionSet::amx) return amx;
  if (set == InstructionSet::avx512) return __builtin_cpu_supports("avx512f");
  if (set == InstructionSet::avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return set == InstructionSet::portable;
}

bool is_available(InstructionSet set, Precision precision) {
  if (precision == Precision::tf32) return false;
  return is_available(set) && (precision == Precision::fp32 || set == InstructionSet::amx);
}

InstructionSet best_instruction_set() {
  for (const auto set : {InstructionSet::amx, InstructionSet::avx512, InstructionSet::avx2}) {
    if (is_available(set)) return set;
  }
  return InstructionSet::portable;
}

std::string_view name_of(Precision precision) {
  if (precision == Precision::fp32) return "fp32";
  return precision == Precision::tf32 ? "tf32" : "bf16";
}

std::string_view name_of(InstructionSet set) {
  if (set == InstructionSet::amx) return "amx";
  if (set == InstructionSet::avx512) return "avx512";
  return set == InstructionSet::avx2 ? "avx2" : "portable";
}

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
