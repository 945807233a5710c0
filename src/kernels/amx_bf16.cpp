#ifdef __x86_64__
#define LOSSATLAS_LANES 16
#include "kernels/amx_bf16_convolve-inl.h"
#include "kernels/table-inl.h"

namespace lossatlas {
namespace {

// With tiles of 2x2 outputs losses are as exact as without minimal filtering; with 4x4 they would be twice as far off.
consteval Kernels amx_bf16_kernels() {
  Kernels kernels = table_of(InstructionSet::amx, 0.5, 2, kRowUnit, true);
  kernels.convolve_weights = convolve_weights;
  kernels.depth_of_row = padded_depth;
  kernels.convolve_scratch = convolve_scratch;
  kernels.convolve = convolve;
  return kernels;
}

}  // namespace

extern const Kernels kAmxBf16Kernels;
constinit const Kernels kAmxBf16Kernels = amx_bf16_kernels();

}  // namespace lossatlas

#endif  // __x86_64__
