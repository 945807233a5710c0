#ifdef __x86_64__
#define LOSSATLAS_LANES 16
#include "kernels/amx_multiply-inl.h"
#include "kernels/gather-inl.h"
#include "kernels/table-inl.h"

namespace lossatlas {
namespace {

// Minimal filtering must save much: products are cheap, and its transforms are not.
consteval Kernels amx_kernels() {
  Kernels kernels = table_of(InstructionSet::amx, 0.7, 4, kRowUnit, true);
  kernels.loses_digits = true;
  kernels.least_depth = kTileDepth;
  kernels.most_depth = kMostDepth;
  return kernels;
}

}  // namespace

extern const Kernels kAmxKernels;
constinit const Kernels kAmxKernels = amx_kernels();

}  // namespace lossatlas

#endif  // __x86_64__
