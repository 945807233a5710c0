#ifdef __x86_64__
#define LOSSATLAS_LANES 16
#include "kernels/amx_multiply-inl.h"
#include "kernels/gather-inl.h"
#include "kernels/table-inl.h"

namespace lossatlas {

extern const Kernels kAmxKernels;
// Minimal filtering must save much: products are cheap, and its transforms are not.
constinit const Kernels kAmxKernels = []() consteval {
  Kernels kernels = table_of(InstructionSet::amx, 0.7, 4, kRowUnit, true);
  kernels.loses_digits = true;
  kernels.least_depth = kTileDepth;
  kernels.most_depth = kMostDepth;
  return kernels;
}
();

}  // namespace lossatlas

#endif  // __x86_64__
