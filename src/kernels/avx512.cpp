#ifdef __x86_64__
#define LOSSATLAS_LANES 16
#include "kernels/gather-inl.h"
#include "kernels/multiply-inl.h"
#include "kernels/table-inl.h"

namespace lossatlas {

extern const Kernels kAvx512Kernels;
const Kernels kAvx512Kernels = table_of(InstructionSet::avx512, 1, 4, kTileRows, false);

}  // namespace lossatlas

#endif  // __x86_64__
