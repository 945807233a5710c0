#ifdef __x86_64__
#define LOSSATLAS_LANES 8
#include "kernels/gather-inl.h"
#include "kernels/multiply-inl.h"
#include "kernels/table-inl.h"

namespace lossatlas {

extern const Kernels kAvx2Kernels;
const Kernels kAvx2Kernels = table_of(InstructionSet::avx2, 1, 4, kTileRows, false);

}  // namespace lossatlas

#endif  // __x86_64__
