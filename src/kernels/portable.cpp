#define LOSSATLAS_LANES 4
#include "kernels/gather.h"
#include "kernels/multiply.h"
#include "kernels/table.h"

namespace lossatlas {

extern const Kernels kPortableKernels;
const Kernels kPortableKernels = table_of(InstructionSet::portable, 1, 4, kTileRows, false);

}  // namespace lossatlas
