#define LOSSATLAS_LANES 4
#include "kernels/gather-inl.h"
#include "kernels/multiply-inl.h"
#include "kernels/table-inl.h"

namespace lossatlas {

extern const Kernels kPortableKernels;
const Kernels kPortableKernels = table_of(InstructionSet::portable, 1, 4, kTileRows, false);

}  // namespace lossatlas
