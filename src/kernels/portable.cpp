#define LOSSATLAS_LANES 4
#include "kernels/multiply.h"
#include "kernels/passes.h"
#include "kernels/peak.h"
#include "kernels/winograd.h"

namespace lossatlas {

extern const Kernels kPortableKernels;
const Kernels kPortableKernels{
    InstructionSet::portable, kPanel, multiply, gather, winograd_weights, winograd_input, winograd_output, pool,
    transform, add, multiply_add};

}  // namespace lossatlas
