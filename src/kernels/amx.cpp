#ifdef __x86_64__
#define LOSSATLAS_LANES 16
#define LOSSATLAS_PARTS 3
#include "kernels/amx_multiply.h"
#include "kernels/table.h"

namespace lossatlas {

extern const Kernels kAmxKernels;
// Minimal filtering must save much: products are cheap, and its transforms are not.
const Kernels kAmxKernels = table_of(InstructionSet::amx, 0.7, 4, kRowUnit, true);

}  // namespace lossatlas

#endif  // __x86_64__
