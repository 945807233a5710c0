#ifdef __x86_64__
#define LOSSATLAS_LANES 16
#define LOSSATLAS_PARTS 1
#include "kernels/amx_multiply.h"
#include "kernels/table.h"

namespace lossatlas {

extern const Kernels kAmxBf16Kernels;
// With tiles of 2x2 outputs losses are as exact as without minimal filtering; with 4x4 they would be twice as far off.
const Kernels kAmxBf16Kernels = table_of(InstructionSet::amx, 0.5, 2, kRowUnit, true);

}  // namespace lossatlas

#endif  // __x86_64__
